"""What a taught text encoder is worth to people that neither it nor the weights were learned from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from whimbrel.agent.learning.ranking import ChoiceSet, gains, learn_ranker
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.tools.log.interaction_log import Floats, Ints

TAUGHT = ("taught", "nearest_taught")
"""The features of a taught encoder."""
WITHOUT = np.isin(FEATURES, TAUGHT, invert=True)
HALVES = 2
LEAST_CHOICES = 40
"""Fewest choices of a half to learn weights from."""
DRAWS = 1000


@dataclass(frozen=True)
class TaughtWorth:
    """What the features of a taught encoder add to NDCG@10 of held-out people.

    Attributes:
        without: NDCG@10 without them.
        gain: The paired difference with them.
        low, high: Its 95% bootstrap interval over people.
        n: The number of choices; 0 if no encoder was taught.
    """

    without: float = 0.0
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0
    n: int = 0

    @classmethod
    def of(cls, choices: Sequence[ChoiceSet], start: Ranker, *, seed: int = 0) -> Self:
        """Measure it: each half of the people by weights that the other half taught.

        Args:
            choices: Choice sets with these features. The encoder was taught by earlier events.
            start: The ranker to start from.
            seed: The seed of all random draws.
        """
        names, user = np.unique([choice.user for choice in choices], return_inverse=True)
        half = np.random.default_rng(seed).permutation(len(names))[user] % HALVES
        plain = [without_taught(choice) for choice in choices]
        without, gained = np.zeros(len(choices)), np.zeros(len(choices))
        for number in range(HALVES):
            tested, others = np.flatnonzero(half == number), np.flatnonzero(half != number)
            reached = [_gains(pool, tested, others, start, seed) for pool in (plain, choices)]
            without[tested], gained[tested] = reached[0], reached[1] - reached[0]
        low, high = _interval(gained, user, seed)
        return cls(float(without.mean()), float(gained.mean()), low, high, len(choices))

    @property
    def is_kept(self) -> bool:
        """Whether held-out people surely gain."""
        return self.low > 0

    def words(self) -> str:
        """Return the worth as a line for a person."""
        if not self.n:
            return "The text encoder was not tuned: the log is too short, or held-out people gained nothing"
        fate = "so it is used" if self.is_kept else "which is not surely above 0, so it is not used"
        return (
            "The tuned text encoder changes how well lists fit people whose log it did not learn from (NDCG@10, from 0 "
            f"to 1): from {self.without:.3f} by {self.gain:+.3f} "
            f"[{self.low:+.3f}, {self.high:+.3f}] ({self.n:,} choices), {fate}"
        )


def without_taught(choice: ChoiceSet) -> ChoiceSet:
    """Return a choice set as if no encoder had been taught."""
    return replace(choice, features=choice.features * WITHOUT)


def _gains(choices: Sequence[ChoiceSet], tested: Ints, others: Ints, start: Ranker, seed: int) -> Floats:
    ranker = learn_ranker([[choices[row] for row in others]], start, seed=seed, trees=False, least=LEAST_CHOICES)
    return gains(ranker, [choices[row] for row in tested])


def _interval(values: Floats, user: Ints, seed: int) -> tuple[float, float]:
    """Return the 95% bootstrap interval of the mean over users."""
    sums, sizes = np.bincount(user, values), np.bincount(user)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (DRAWS, len(sums)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)
