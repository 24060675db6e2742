"""Whimbrel itself, with and without its language model."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent import Agent, Item
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.rank import Ranking
from whimbrel.evals.cases import BlindCase
from whimbrel.evals.systems import Scored, Scorer, Settings
from whimbrel.evals.training import Training
from whimbrel.tools.encoder import Vectors
from whimbrel.tools.interaction_log import InteractionLog
from whimbrel.tools.item_vectors import item_vectors
from whimbrel.tools.retrieve import interest_of, retrieve

RETRIEVED = 200
"""Candidates that the agent ranks of a whole catalogue."""


def whimbrel(training: Training, settings: Settings) -> Scorer:
    """The agent with the model of the settings. Of a whole catalogue it ranks what retrieval brings."""
    llm = open_model(settings.llm)
    catalogue = _InMemory(training)
    agent = Agent(None, llm, log=catalogue.log)

    def score(case: BlindCase) -> Scored:
        if llm is not None:
            llm.forget()
        candidates = case.candidates if case.met is None else _retrieved(case, catalogue)
        ranking = agent.ranking(case.history, candidates, case.context)
        scores = {entry.candidate.item.item_id: entry.score for entry in ranking.ranked}
        values = np.array([scores.get(item.item_id, -np.inf) for item in case.candidates])
        return Scored(values, ranking.usage, ranking.warnings, ranking.shift, _said(ranking), ranking.moves)

    return score


def whimbrel_none(training: Training, settings: Settings) -> Scorer:
    """The agent without a language model."""
    return whimbrel(training, Settings(settings.seed, "none"))


def _said(ranking: Ranking) -> str:
    """Why the first item came first."""
    signals = ranking.ranked[0].signals if ranking.ranked else {}
    return ", ".join(f"{name} {value:+.2f}" for name, value in sorted(signals.items(), key=lambda pair: -pair[1]))


def _retrieved(case: BlindCase, catalogue: "_InMemory") -> list[Item]:
    vectors = dict(zip((item.item_id for item in case.history), item_vectors(case.history), strict=True))
    found = retrieve(
        catalogue,
        case.history,
        before=np.inf,
        interest=interest_of(case.history, vectors),
        without=sorted(case.met or ()),
        n=RETRIEVED,
        by_title=False,
    )
    return [candidate.item for candidate in found]


class _InMemory:
    """A training log as the catalogue that the agent retrieves from; where it has no times, its order stands for
    them."""

    def __init__(self, training: Training) -> None:
        self._training = training
        times = training.times if training.times is not None else np.arange(len(training.rows), dtype=np.float64)
        users = [user_id or f"session {number}" for number, user_id in enumerate(training.user_ids)]
        self.log = InteractionLog.build(
            training.items,
            (
                (float(time), users[session], training.items[row].item_id, None)
                for time, session, row in zip(times, training.session_of, training.rows, strict=True)
            ),
        )

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return item_vectors(self._training.items)

    def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        position = self._training.position
        return {item_id: self._training.items[position[item_id]] for item_id in item_ids}

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        position = self._training.position
        return {item_id: self._vectors[position[item_id]] for item_id in item_ids}

    def topic_vectors(self, *, before: float) -> dict[str, Vectors]:
        return {}

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        items, found = self._training.items, []
        for row in vectors @ self._vectors.T:
            best = np.argpartition(-row, min(n, len(row) - 1))[:n]
            best = best[np.argsort(-row[best], kind="stable")]
            found.append([(items[place].item_id, float(row[place])) for place in best])
        return found

    def item_count(self) -> int:
        return len(self._training.items)
