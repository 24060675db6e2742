"""Where the intent changes within a session: a probability between each two neighbouring items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.item_vectors import item_vectors
from whimbrel.tools.records import Item

STEEPNESS, MIDDLE = 8.0, 0.35
"""Of the logistic curve from likeness to probability: plain defaults, not learned."""


def switch_probabilities(items: Sequence[Item]) -> NDArray[np.float64]:
    """How probably the intent changes after each item but the last, shape (len(items) - 1,).

    An item continues the intent where it is like one of the three before it, by what it says and by its topics.
    """
    vectors = item_vectors(items)
    alike = [
        max(
            (float(vectors[n] @ vectors[m]) + _overlap(items[n], items[m])) / 2
            if items[n].topics and items[m].topics
            else float(vectors[n] @ vectors[m])
            for m in range(max(n - 3, 0), n)
        )
        for n in range(1, len(items))
    ]
    return np.asarray(1 / (1 + np.exp(STEEPNESS * (np.array(alike) - MIDDLE))), dtype=np.float64)


def _overlap(one: Item, other: Item) -> float:
    """Jaccard of the words of two items' topics: category paths share their beginnings."""
    first, second = _words(one), _words(other)
    return len(first & second) / max(len(first | second), 1)


def _words(item: Item) -> set[str]:
    return {word for topic in item.topics for word in topic.casefold().replace(",", " ").split()}
