"""Show items that few people met, at a stated price in expected accuracy."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STRONGEST = 32.0
"""The largest weight of exposure, in log odds. At this weight, lists are in the order of fewest people."""
STEPS = 20
"""Halvings in the search for a weight, which is then exact to 1/30,000 of STRONGEST."""


def exposure(scores: Floats, people: Ints, *, k: int, given_up: float) -> Floats:
    """Return what each candidate gains for being met by few people, shape (candidates,).

    Scores are log odds of being chosen, so they give the expected discounted gain of a list (DCG). All candidates gain
    by one weight times the share of the others that more people met. The weight is the largest with which the list
    keeps all but `given_up` of the greatest expected gain.

    Args:
        scores: The score of each candidate.
        people: How many people met it.
        k: The length of the list.
        given_up: The share of the expected gain that may be lost, in [0, 1].

    Example:
        >>> gain = exposure(np.array([1.0, 0.9, 0.0]), np.array([50, 3, 1]), k=1, given_up=0.2)
        >>> int((np.array([1.0, 0.9, 0.0]) + gain).argmax())
        1
    """
    if len(scores) < 2 or not np.ptp(people):
        return np.zeros(len(scores))
    ascending = np.sort(people)
    rarity = 1 - np.searchsorted(ascending, people, side="left") / (len(people) - 1)
    chances = np.exp(scores - scores.max())
    discounts = 1 / np.log2(np.arange(2, min(k, len(scores)) + 2))

    def gain(weight: float) -> float:
        order = np.argsort(-(scores + weight * rarity), kind="stable")[: len(discounts)]
        return float(chances[order] @ discounts)

    least = (1 - given_up) * gain(0.0)
    low, high = 0.0, STRONGEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if gain(middle) >= least else (low, middle)
    return low * rarity
