"""Where the intent changes within a session: a probability between each two neighbouring items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.item_vectors import title_vectors
from whimbrel.tools.records import Item

BIAS, NEIGHBOUR, NEAREST, TOPICS = 0.62, -3.08, 1.35, -2.48
"""Of a logistic regression on likenesses, learned from 6,424 labelled pairs of Amazon sessions (clothing, electronics).
Learned on one and tested on the other: average precision .485 and .636 (title similarity alone: .438 and .579)."""
UNKNOWN_TOPICS = 0.5
"""Overlap that is assumed where an item has no topics."""
SWITCH = 0.3
"""Probability from which a switch is said: half of the F1 that can be reached maximises it (Lipton et al., 2014)."""


def switch_probabilities(items: Sequence[Item]) -> NDArray[np.float64]:
    """How probably the intent changes after each item but the last, shape (len(items) - 1,).

    The less an item's title is like that of its neighbour, and the fewer words their topics share, the likelier.
    """
    vectors = title_vectors(items)
    alike = vectors @ vectors.T
    here = range(1, len(items))
    neighbour = np.array([alike[n, n - 1] for n in here])
    nearest = np.array([alike[n, :n].max() for n in here])
    topics = np.array([_overlap(items[n], items[n - 1]) for n in here])
    logits = BIAS + NEIGHBOUR * neighbour + NEAREST * nearest + TOPICS * topics
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)


def _overlap(one: Item, other: Item) -> float:
    """Jaccard of the words of two items' topics: category paths share their beginnings."""
    first, second = _words(one), _words(other)
    return len(first & second) / len(first | second) if first and second else UNKNOWN_TOPICS


def _words(item: Item) -> set[str]:
    return {word for topic in item.topics for word in topic.casefold().replace(",", " ").split()}
