"""Cut a session where its intent changes: a probability between each two neighbouring items.

Two linear steps. First the titles and topics of two items make their likeness. Then the likeness of two neighbours,
compared with their likeness to the rest of the session, makes the probability of a switch. Features are standardised by
the sessions that they come from, which needs no labels: what counts as alike differs between catalogues, but what it
says about the intent differs far less. The whole session is read, also what came after an item.
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
"""How alike two items are: the cosine of their titles; the Jaccard index of the categories in their topics, and of the
words in their topics; how many steps their closest topics have in common, as a share of DEEPEST."""
FEATURES = ("neighbour", "nearest", "nearest of the lonelier", "session", "company")
"""Of two neighbours: their likeness; the likeness of the nearest other item to either, first the greater, then the
smaller one; the mean likeness in the session; how much their likenesses to the other items differ."""
DEEPEST = 5
"""Steps of a topic that are compared."""
PSEUDO_PAIRS = 50
"""The learned spread counts as much as so many pairs of neighbours of the sessions at hand."""

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
        bias: The log odds of a switch where all features are average.
        weights: A weight for each of FEATURES, standardised.
        spread: The spread of the features in the sessions that were learned from.
        switch: The probability from which a switch is reported.
    """

    likeness: tuple[float, ...]
    bias: float
    weights: tuple[float, ...]
    spread: Spread
    switch: float


# Learned from 6,424 labelled pairs of Amazon sessions (clothing, electronics) with
# `whimbrel eval cross-domain --weights`. Learned on one and tested on the other: average precision .544 (electronics)
# and .690 (clothing), where title similarity alone has .438 and .579; F1 .558 and .671.
LEARNED = Segmenter(
    likeness=(3.209, 1.638, 0.708, 0.505),
    bias=-0.868,
    weights=(-0.947, 0.292, 0.417, -0.611, 0.293),
    spread=Spread(mean=(1.985, 3.480, 2.351, 1.945, 0.844), deviation=(1.141, 1.181, 0.972, 0.645, 0.590)),
    switch=0.36,  # the best F1 on sessions that the weights were not learned from
)
SWITCH = LEARNED.switch
"""The probability from which a switch is reported."""


def switch_probabilities(
    items: Sequence[Item], *, among: Spread | None = None, segmenter: Segmenter = LEARNED
) -> Floats:
    """Return the probability that the intent changes between each two neighbours, shape (len(items) - 1,).

    The probability is higher the less the two are alike, and the more each is like other items of the session.

    Args:
        items: A session in order.
        among: The spread of the features in sessions like this one (see `spread_of`). By default that of the sessions
            that the segmenter learned from.
        segmenter: The learned weights.
    """
    return probabilities(switch_features(likenesses(items) @ segmenter.likeness), among or segmenter.spread, segmenter)


def probabilities(features: Floats, among: Spread, segmenter: Segmenter) -> Floats:
    """Return the probability of a switch, shape (pairs,), from features, shape (pairs, features)."""
    standard = (features - np.array(among.mean)) / np.array(among.deviation)
    return np.asarray(1 / (1 + np.exp(-(segmenter.bias + standard @ np.array(segmenter.weights)))), dtype=np.float64)


def segments(items: Sequence[Item], vectors: Vectors | None = None) -> list[tuple[Item, ...]]:
    """Cut a session where its intent probably changes.

    Events of one moment are never parted, since their order says nothing: a basket stays whole.

    Args:
        items: The session in order. May be empty.
        vectors: Unit text vectors of the items, shape (items, 384), where they are known; else titles are encoded.

    Returns:
        The parts, in order; together they are the session.
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
    """Return the spread of the features in sessions, shrunk to the learned spread where there are few pairs."""
    features = [switch_features(likenesses(items) @ segmenter.likeness) for items in sessions]
    return shrunk_spread(np.concatenate(features), segmenter.spread) if features else segmenter.spread


def shrunk_spread(features: Floats, learned: Spread) -> Spread:
    """Return the spread of features, shape (pairs, features), as if PSEUDO_PAIRS pairs had the learned spread."""
    count, total = len(features), len(features) + PSEUDO_PAIRS
    usual = np.array(learned.mean)
    mean = (features.sum(axis=0) + PSEUDO_PAIRS * usual) / total
    squares = ((features - mean) ** 2).sum(axis=0) if count else 0.0
    added = PSEUDO_PAIRS * (np.array(learned.deviation) ** 2 + (usual - mean) ** 2)
    return Spread(tuple(mean.tolist()), tuple(np.sqrt((squares + added) / total).tolist()))


def switch_features(alike: Floats) -> Floats:
    """Return FEATURES of each two neighbours, shape (items - 1, 5), from the likeness of each two items.

    Args:
        alike: Shape (items, items), symmetric.
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

    Where one of two items has no topics, each likeness of topics is taken to be one half.

    Args:
        items: A session.
        vectors: Unit vectors, shape (items, 384), in the place of those of the titles.
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
    """Return topics as paths of categories: "Clothing, Shoes & Jewelry,Women],[Sports,Yoga" holds two of two steps."""
    paths = (_STEP.split(path.strip("[]").casefold()) for topic in item.topics for path in _PATH.split(topic))
    return [path for parts in paths if (path := tuple(step.strip() for step in parts if step.strip()))]


def _membership(sets: Sequence[Set[Hashable]]) -> Floats:
    """Return which members each set has, 1 or 0, shape (sets, members)."""
    column = {member: number for number, member in enumerate(dict.fromkeys(member for each in sets for member in each))}
    table = np.zeros((len(sets), len(column)))
    for row, members in enumerate(sets):
        table[row, [column[member] for member in members]] = 1
    return table


def _jaccard(membership: Floats) -> Floats:
    """Return the Jaccard index of each two sets, shape (sets, sets); 0 where both are empty."""
    both, sizes = membership @ membership.T, membership.sum(axis=1)
    return np.asarray(both / np.maximum(sizes[:, None] + sizes[None, :] - both, 1), dtype=np.float64)
