"""Whimbrel itself, with and without its language model."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from whimbrel.agent import Agent
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.fitted_log import read_fitted_log
from whimbrel.agent.learning.learn import learn_from
from whimbrel.agent.learning.sessions import Training, library_of
from whimbrel.agent.ranking.fusion import CandidateKind
from whimbrel.agent.ranking.rank import Ranking
from whimbrel.evals.systems import Scored, Scorer, Settings
from whimbrel.tools.store.in_memory import InMemory

RETRIEVED = 200
"""Candidates that the agent ranks of a whole catalogue."""


def whimbrel(training: Training, settings: Settings) -> Scorer:
    """The agent with the model of the settings, fitted on the training log unless what was fitted is given. Of a whole
    catalogue it ranks what retrieval brings."""
    llm = open_model(settings.llm)
    given = read_fitted_log(Path(settings.fitted)) if settings.fitted else None
    agents: dict[CandidateKind, Agent] = {}

    def score(case: BlindCase) -> Scored:
        if llm is not None:
            llm.forget()
        kind: CandidateKind = "given" if case.met is None else "retrieved"
        if kind not in agents:
            library, fitted = given or _learned(training, kind, settings.seed)
            agents[kind] = Agent(None, llm, library=library, fitted=fitted)
        if case.met is None:
            ranking = agents[kind].ranking(case.history, case.candidates, case.context)
        else:
            ranking = agents[kind].choose(case.history, case.context, without=sorted(case.met), n=RETRIEVED)
        scores = {entry.candidate.item.item_id: entry.score for entry in ranking.ranked}
        values = np.array([scores.get(item.item_id, -np.inf) for item in case.candidates])
        return Scored(values, ranking.usage, ranking.warnings, ranking.shift, _said(ranking), ranking.p_topic_change)

    return score


def whimbrel_none(training: Training, settings: Settings) -> Scorer:
    """The agent without a language model."""
    return whimbrel(training, Settings(settings.seed, "none", settings.fitted))


@lru_cache(maxsize=2)
def _learned(training: Training, kind: CandidateKind, seed: int) -> tuple[InMemory, Fitted]:
    """Once for the agent with and without a model."""
    library = library_of(training)
    return library, learn_from(library, kinds=(kind,), seed=seed).fitted


def _said(ranking: Ranking) -> str:
    """Why the first item came first."""
    signals = ranking.ranked[0].signals if ranking.ranked else {}
    return ", ".join(f"{name} {value:+.2f}" for name, value in sorted(signals.items(), key=lambda pair: -pair[1]))
