"""Cut a session into parts of one intent, by the probability of a switch between each two neighbouring items.

The probability is computed in two linear steps. The first step computes the likeness of two items from their titles and
topics. The second step compares the likeness of two neighbours with their likeness to the rest of the session.

Features are standardised with the sessions that they come from, which needs no labels. The usual likeness differs
between catalogues, but what a likeness above the usual says about the intent hardly differs. The whole session is read,
including the items after a switch.
"""

import re
from collections.abc import Hashable, Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.item_vectors import title_vectors

Floats = NDArray[np.float64]

LIKENESSES = ("titles", "categories", "words", "depth")
"""Measures of how alike two items are.

- `titles`: the cosine of their titles
- `categories`: the Jaccard index of the categories in their topics
- `words`: the Jaccard index of the words in their topics
- `depth`: the number of steps that their closest topics have in common, as a share of DEEPEST
"""
FEATURES = ("neighbour", "nearest", "nearest of the lonelier", "session", "company")
"""Features of two neighbours.

- `neighbour`: their likeness
- `nearest`: for each neighbour, the likeness to the nearest other item is taken; this is the greater of the two
- `nearest of the lonelier`: the smaller of the two
- `session`: the mean likeness in the session
- `company`: how much their likenesses to the other items differ
"""
DEEPEST = 5
"""Most steps of a topic that are compared."""
PSEUDO_PAIRS = 50
"""The learned spread counts as much as this number of pairs of neighbours in the given sessions."""

_PATH, _STEP, _WORD = re.compile(r"\],\s*\["), re.compile(r",(?! )"), re.compile(r"\w+")


@dataclass(frozen=True)
class Spread:
    """The mean and the standard deviation of each of FEATURES."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Segmenter:
    """The learned weights.

    Attributes:
        likeness: A weight for each of LIKENESSES.
        bias: The log odds of a switch if all features are average.
        weights: A weight for each of FEATURES, standardised.
        spread: The spread of the features in the sessions that were learned from.
        switch: A switch is reported if its probability is at least this.
    """

    likeness: tuple[float, ...]
    bias: float
    weights: tuple[float, ...]
    spread: Spread
    switch: float


# Learned from 6,424 labelled pairs of Amazon sessions (clothing and electronics) with
# `whimbrel eval cross-domain --weights`. Weights learned on one domain were tested on the other one. On electronics the
# average precision is .544 (.438 for title similarity alone) and F1 is .558. On clothing the average precision is .690
# (.579 for title similarity alone) and F1 is .671.
LEARNED = Segmenter(
    likeness=(3.209, 1.638, 0.708, 0.505),
    bias=-0.868,
    weights=(-0.947, 0.292, 0.417, -0.611, 0.293),
    spread=Spread(mean=(1.985, 3.480, 2.351, 1.945, 0.844), deviation=(1.141, 1.181, 0.972, 0.645, 0.590)),
    switch=0.36,  # the threshold with the best F1 on sessions that were not used to learn the weights
)
SWITCH = LEARNED.switch
"""A switch is reported if its probability is at least this."""


def switch_probabilities(
    items: Sequence[Item], *, among: Spread | None = None, segmenter: Segmenter = LEARNED
) -> Floats:
    """Return the probability that the intent changes between each two neighbours, shape (len(items) - 1,).

    The probability is high if the two are not alike but each is like other items of the session.

    Args:
        items: A session in order.
        among: The spread of the features in sessions like this one (see `spread_of`). The default is the spread in the
            sessions that the segmenter learned from.
        segmenter: The learned weights.
    """
    return probabilities(switch_features(likenesses(items) @ segmenter.likeness), among or segmenter.spread, segmenter)


def probabilities(features: Floats, among: Spread, segmenter: Segmenter) -> Floats:
    """Return the probability of a switch, shape (pairs,), from features, shape (pairs, features)."""
    standard = (features - np.array(among.mean)) / np.array(among.deviation)
    return np.asarray(1 / (1 + np.exp(-(segmenter.bias + standard @ np.array(segmenter.weights)))), dtype=np.float64)


def segments(items: Sequence[Item], vectors: Vectors | None = None) -> list[tuple[Item, ...]]:
    """Cut a session where its intent probably changes.

    Events of one moment, such as a basket, always stay together, because their order says nothing.

    Args:
        items: The session in order. May be empty.
        vectors: Unit text vectors of the items, shape (items, 384). If they are None, the titles are encoded.

    Returns:
        The parts in order. Together they are the session.
    """
    if not items:
        return []
    features = switch_features(likenesses(items, vectors) @ LEARNED.likeness)
    switches = probabilities(features, shrunk_spread(features, LEARNED.spread), LEARNED) >= SWITCH
    cuts = [
        position
        for position, (before, after) in enumerate(pairwise(items), start=1)
        if switches[position - 1] and (before.time is None or before.time != after.time)
    ]
    return [tuple(items[start:stop]) for start, stop in pairwise([0, *cuts, len(items)])]


def spread_of(sessions: Iterable[Sequence[Item]], *, segmenter: Segmenter = LEARNED) -> Spread:
    """Return the spread of the features in sessions. The fewer pairs there are, the nearer it is to the learned one."""
    features = [switch_features(likenesses(items) @ segmenter.likeness) for items in sessions]
    return shrunk_spread(np.concatenate(features), segmenter.spread) if features else segmenter.spread


def shrunk_spread(features: Floats, learned: Spread) -> Spread:
    """Return the spread of features, shape (pairs, features), with PSEUDO_PAIRS pairs of the learned spread added."""
    count, total = len(features), len(features) + PSEUDO_PAIRS
    usual = np.array(learned.mean)
    mean = (features.sum(axis=0) + PSEUDO_PAIRS * usual) / total
    squares = ((features - mean) ** 2).sum(axis=0) if count else 0.0
    added = PSEUDO_PAIRS * (np.array(learned.deviation) ** 2 + (usual - mean) ** 2)
    return Spread(tuple(mean.tolist()), tuple(np.sqrt((squares + added) / total).tolist()))


def switch_features(alike: Floats) -> Floats:
    """Return FEATURES of each two neighbours, shape (items - 1, 5), from the likeness of each two items.

    Args:
        alike: The likeness of each two items, shape (items, items). It is symmetric.
    """
    size = len(alike)
    if size < 2:
        return np.empty((0, len(FEATURES)))
    first, second = np.arange(size - 1), np.arange(1, size)
    neighbour = alike[first, second]
    session = np.full(size - 1, alike[~np.eye(size, dtype=bool)].mean())
    if size == 2:  # there are no other items to compare with
        return np.stack([neighbour, neighbour, neighbour, session, np.zeros(1)], axis=1)
    others = np.ones((size - 1, size), dtype=bool)
    others[first, first] = others[first, second] = False
    nearest_to_first, nearest_to_second = (
        np.where(others, alike[rows], -np.inf).max(axis=1) for rows in (first, second)
    )
    greater = np.maximum(nearest_to_first, nearest_to_second)
    smaller = np.minimum(nearest_to_first, nearest_to_second)
    company = (np.abs(alike[first] - alike[second]) * others).sum(axis=1) / (size - 2)
    return np.stack([neighbour, greater, smaller, session, company], axis=1)


def likenesses(items: Sequence[Item], vectors: Vectors | None = None) -> Floats:
    """Return LIKENESSES of each two items, shape (items, items, 4).

    If one of two items has no topics, each likeness of topics counts as one half.

    Args:
        items: A session.
        vectors: Unit vectors, shape (items, 384), that replace the vectors of the titles.
    """
    vectors = (title_vectors(items) if vectors is None else vectors).astype(np.float64)
    paths = [_paths(item) for item in items]
    categories = _jaccard(_membership([{step for path in item_paths for step in path} for item_paths in paths]))
    words = _jaccard(
        _membership(
            [{word for path in item_paths for step in path for word in _WORD.findall(step)} for item_paths in paths]
        )
    )
    depth = np.zeros((len(items), len(items)))
    for steps in range(1, DEEPEST + 1):
        beginnings = _membership([{path[:steps] for path in item_paths if len(path) >= steps} for item_paths in paths])
        depth += beginnings @ beginnings.T > 0
    alike = np.stack([vectors @ vectors.T, categories, words, depth / DEEPEST], axis=-1)
    without_topics = np.array([not item_paths for item_paths in paths], dtype=bool)
    alike[without_topics[:, None] | without_topics[None, :], 1:] = 0.5
    return alike


def _paths(item: Item) -> list[tuple[str, ...]]:
    """Return topics as paths of categories.

    The topic "Clothing, Shoes & Jewelry,Women],[Sports,Yoga" holds two paths of two steps each.
    """
    paths = (_STEP.split(path.strip("[]").casefold()) for topic in item.topics for path in _PATH.split(topic))
    return [path for parts in paths if (path := tuple(step.strip() for step in parts if step.strip()))]


def _membership(sets: Sequence[Set[Hashable]]) -> Floats:
    """Return 1 for each member that a set has and 0 for each other one, shape (sets, members)."""
    column = {member: number for number, member in enumerate(dict.fromkeys(member for each in sets for member in each))}
    table = np.zeros((len(sets), len(column)))
    for row, members in enumerate(sets):
        table[row, [column[member] for member in members]] = 1
    return table


def _jaccard(membership: Floats) -> Floats:
    """Return the Jaccard index of each two sets, shape (sets, sets). It is 0 if both are empty."""
    both, sizes = membership @ membership.T, membership.sum(axis=1)
    return np.asarray(both / np.maximum(sizes[:, None] + sizes[None, :] - both, 1), dtype=np.float64)
