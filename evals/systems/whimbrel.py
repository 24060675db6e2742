"""Whimbrel itself, with and without its language model. The agent runs the same pipeline that serves users."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from whimbrel.agent.agent import Agent, history_request
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.fitted_log import read_fitted_log
from whimbrel.agent.learning.learn import Draw, learn_from
from whimbrel.agent.learning.sessions import Training, catalogue_of
from whimbrel.agent.pipeline import RANK
from whimbrel.agent.ranking.rank import Ranking
from whimbrel.agent.ranking.rankers import CandidateKind
from whimbrel.agent.state import Request
from whimbrel.evals.systems.protocol import Scored, Scorer, Settings
from whimbrel.tools.store.in_memory import InMemory

LIST_LENGTH = 10
"""The length of the requested list. All further candidates are ranked below it."""


def whimbrel(training: Training, settings: Settings) -> Scorer:
    """Score with the agent and the model of the settings.

    If `settings.fitted` names a folder, the agent is loaded from it. Otherwise the agent is fitted on the training log.
    """
    llm = open_model(settings.llm, remember=settings.remember)
    given = read_fitted_log(Path(settings.fitted)) if settings.fitted else None
    agents: dict[CandidateKind, Agent] = {}

    def score(case: BlindCase) -> Scored:
        kind: CandidateKind = "given" if case.met is None else "retrieved"
        if kind not in agents:
            catalogue, fitted = given or _learned(training, kind, settings.seed)
            agents[kind] = Agent(catalogue, llm, fitted=fitted)
        agents[kind].drop_prompts()
        return scored(agents[kind], case)

    return score


def whimbrel_none(training: Training, settings: Settings) -> Scorer:
    """Score with the agent without a language model."""
    return whimbrel(training, replace(settings, llm="none"))


def scored(agent: Agent, case: BlindCase) -> Scored:
    """Rank a case with an agent, as of the moment that the case asks about.

    On a whole catalogue, the score of a candidate is minus its rank. The order is then the one that users see, which
    leaves out near duplicates. Candidates that the case supplies keep their scores, so equal scores tie.

    Raises:
        ModelError: the model cannot be reached. The answer without it would count as one with it.
    """
    state = agent.run(request_of(case), RANK)
    if state.failure is not None:
        raise state.failure
    values = {
        entry.candidate.item.item_id: entry.score if case.met is None else -float(rank)
        for rank, entry in enumerate(state.ranking.ranked, start=1)
    }
    return Scored(
        scores=np.array([values.get(item.item_id, -np.inf) for item in case.candidates]),
        usage=state.reading.usage + state.prediction.usage + state.ranking.usage,
        warnings=(*state.reading.warnings, *state.prediction.warnings, *state.ranking.warnings),
        shift=state.prediction.shift,
        reason=_contributions(state.ranking),
        p_topic_change=state.prediction.p_topic_change,
    )


def request_of(case: BlindCase) -> Request:
    """Return the request that asks the agent about a case."""
    candidates = case.candidates if case.met is None else None
    request = history_request(case.history, case.context, at=case.at, k=LIST_LENGTH, candidates=candidates)
    return replace(request, without=sorted(case.met or ()))


@lru_cache(maxsize=2)
def _learned(training: Training, kind: CandidateKind, seed: int) -> tuple[InMemory, Fitted]:
    # Cached, so that the agent with a model and the agent without one share what was learned.
    catalogue = catalogue_of(training)
    return catalogue, learn_from(catalogue, kinds=(kind,), draw=Draw(seed=seed)).fitted


def _contributions(ranking: Ranking) -> str:
    """Return what each signal adds to the score of the first item, the largest contribution first."""
    signals = ranking.ranked[0].signals if ranking.ranked else {}
    ordered = sorted(signals.items(), key=lambda signal: -signal[1])
    return ", ".join(f"{name} {value:+.2f}" for name, value in ordered)
