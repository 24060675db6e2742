"""Compare two ways to rank on moments of a log that neither has learned from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.agent.learning.choice_sets import TrainingQuery
from whimbrel.agent.pipeline import RANK, run
from whimbrel.agent.state import Request, Resources
from whimbrel.prompts.phrases import Phrases, load_phrases
from whimbrel.tools.log.interaction_log import Floats

LEAST_PEOPLE = 20
"""With fewer people, nothing is said of two ways to rank."""
SURE = 1.0
"""One way is ahead of another if the mean difference is at least this many standard errors."""


@dataclass(frozen=True)
class Verdict:
    """What held-out people say of one way to rank beside another.

    Attributes:
        people: How many people were asked about.
        gain: The mean difference of the gains (see `gain_of`), one way minus the other.
        error: Its standard error.
    """

    people: int = 0
    gain: float = 0.0
    error: float = 0.0

    @classmethod
    def of(cls, differences: Floats, users: Sequence[str]) -> "Verdict":
        """Compare paired gains. The gains of one person count once, as their mean."""
        by_user: dict[str, list[float]] = {}
        for user, difference in zip(users, differences.tolist(), strict=True):
            by_user.setdefault(user, []).append(difference)
        means = np.array([np.mean(of_user) for of_user in by_user.values()])
        if not len(means):
            return cls()
        return cls(len(means), float(means.mean()), float(means.std() / len(means) ** 0.5))

    @property
    def is_known(self) -> bool:
        """Whether enough people were asked about."""
        return self.people >= LEAST_PEOPLE

    @property
    def is_behind(self) -> bool:
        """Whether the first way is surely enough behind the other."""
        return self.is_known and self.gain < -SURE * self.error

    @property
    def is_ahead(self) -> bool:
        """Whether the first way is surely enough ahead of the other."""
        return self.is_known and self.gain > SURE * self.error

    def words(self, say: Phrases | None = None) -> str:
        """Return the figures for a person."""
        return (say or load_phrases("en")).notes.verdict.format(gain=self.gain, error=self.error, people=self.people)


def gain_of(ranks: Sequence[int]) -> float:
    """Return the mean discounted gain of ranks from 1, without a cut-off; 0 for a rank of 0.

    Example:
        >>> gain_of([1, 0])
        0.5
    """
    return float(np.mean([1 / np.log2(1 + rank) if rank else 0.0 for rank in ranks]))


def compare(
    queries: Sequence[TrainingQuery],
    one: Callable[[TrainingQuery], tuple[Request, Resources]],
    other: Callable[[TrainingQuery], tuple[Request, Resources]],
    advance: Callable[[int], None] = lambda count: None,
) -> Verdict:
    """Answer moments in two ways, and compare where the items that were chosen then are ranked."""
    differences = []
    for query in queries:
        gains = [gain_of(_ranks(query, *way(query))) for way in (one, other)]
        differences.append(gains[0] - gains[1])
        advance(1)
    return Verdict.of(np.array(differences), [query.user for query in queries])


def _ranks(query: TrainingQuery, request: Request, resources: Resources) -> list[int]:
    ranking = run(request, resources, RANK).ranking
    ids = [ranking.candidates.items[row].item_id for row in ranking.order]
    return [ids.index(item_id) + 1 if item_id in ids else 0 for item_id in query.chose]
