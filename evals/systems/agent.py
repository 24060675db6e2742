"""Whimbrel itself, with and without its language model."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent import Agent, Item
from whimbrel.agent.language_models.specs import open_model
from whimbrel.evals.cases import BlindCase
from whimbrel.evals.systems import Scored, Scorer, Settings
from whimbrel.evals.training import Training, values_at
from whimbrel.tools.interaction_log import InteractionLog
from whimbrel.tools.item_vectors import item_vectors
from whimbrel.tools.retrieve import RANK_CONSTANT, interest_of, latest_items, recent_popularity

RETRIEVED, PER_CHANNEL = 200, 100
"""Candidates that the agent ranks of a whole catalogue, and those that each channel brings."""


def whimbrel(training: Training, settings: Settings) -> Scorer:
    """The agent with the model of the settings. Of a whole catalogue it ranks what its channels bring."""
    llm = open_model(settings.llm)
    log = _log(training)
    agent = Agent(None, llm, log=log)
    in_log = np.argsort([training.position[item_id] for item_id in log.item_ids])

    def score(case: BlindCase) -> Scored:
        if llm is not None:
            llm.forget()
        candidates = case.candidates if case.met is None else _retrieved(case, log, training, in_log)
        ranking = agent.ranking(case.history, candidates, case.context)
        scores = {entry.candidate.item.item_id: entry.score for entry in ranking.ranked}
        values = np.array([scores.get(item.item_id, -np.inf) for item in case.candidates])
        return Scored(values, ranking.usage, ranking.warnings)

    return score


def whimbrel_none(training: Training, settings: Settings) -> Scorer:
    """The agent without a language model."""
    return whimbrel(training, Settings(settings.seed, "none"))


def _retrieved(case: BlindCase, log: InteractionLog, training: Training, in_log: NDArray[np.int64]) -> list[Item]:
    """The channels of retrieval over a catalogue in memory: short and long term, neighbours, recent popularity.

    `in_log` has the row in the log of each row of the training."""
    place = training.position
    seeds = [int(in_log[place[item_id]]) for item_id in latest_items(case.history) if item_id in place]
    known = training.rows_of(case.candidates)
    rows = np.where(known >= 0, in_log[known], -1)
    together = log.co_occurrence(seeds, before=np.inf)
    channels = [values_at(together.sum(axis=0), rows), values_at(recent_popularity(log, before=np.inf), rows)]
    if case.history:
        mine = dict(zip((item.item_id for item in case.history), item_vectors(case.history), strict=True))
        interest = interest_of(case.history, mine)
        vectors = item_vectors(case.candidates)
        channels += [(vectors @ vector).astype(np.float64) for vector in interest.channels().values()]
    met = case.met or frozenset()
    allowed = np.fromiter((item.item_id not in met for item in case.candidates), bool, len(case.candidates))
    fused = np.zeros(len(case.candidates))
    for values in channels:
        best = _best(np.where(allowed, values, -np.inf))
        fused[best] += 1 / (RANK_CONSTANT + 1 + np.arange(len(best)))
    chosen = np.argsort(-fused, kind="stable")[:RETRIEVED]
    return [case.candidates[place] for place in chosen if fused[place] > 0]


def _best(values: NDArray[np.float64]) -> NDArray[np.int64]:
    order = np.argsort(-values, kind="stable")[:PER_CHANNEL]
    return order[np.isfinite(values[order])]


def _log(training: Training) -> InteractionLog:
    """The training log as the agent reads one; where it has no times, its order stands for them."""
    times = training.times if training.times is not None else np.arange(len(training.rows), dtype=np.float64)
    users = [user_id or f"session {number}" for number, user_id in enumerate(training.user_ids)]
    return InteractionLog.build(
        training.items,
        (
            (float(time), users[session], training.items[row].item_id)
            for time, session, row in zip(times, training.session_of, training.rows, strict=True)
        ),
    )
