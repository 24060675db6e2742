"""Where the intent changes within a session: a probability between each two neighbouring items.

Two steps, both linear. Titles and topics of two items make their likeness; how alike two neighbours are, beside how
alike each of them is to the rest of the session, makes the probability. Features are standardised by the sessions that
they come among, for which nobody needs to have labelled a thing: what counts as alike differs between catalogues, what
it says about the intent far less. The whole session is read, what came after an item too.
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
"""Of two items: cosine of their titles; Jaccard of the categories, and of the words, that their topics hold; how many
steps their closest topics go together, as a share of DEEPEST."""
FEATURES = ("neighbour", "nearest", "nearest of the lonelier", "session", "company")
"""Of two neighbours: their likeness; that of the nearest other item to either, the greater and the smaller of the two;
the mean one of the session; how differently alike they are to the others."""
DEEPEST = 5
PSEUDO_PAIRS = 50
"""Pairs of neighbours as which the spread that was learned counts beside the one of the sessions at hand."""

_PATH, _STEP, _WORD = re.compile(r"\],\s*\["), re.compile(r",(?! )"), re.compile(r"\w+")


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of each feature."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True)
class Segmenter:
    """What was learned: weights of likenesses, of standardised features, their usual spread, and the probability from
    which a switch is said."""

    likeness: tuple[float, ...]
    bias: float
    weights: tuple[float, ...]
    spread: Spread
    switch: float


LEARNED = Segmenter(
    likeness=(3.209, 1.638, 0.708, 0.505),
    bias=-0.868,
    weights=(-0.947, 0.292, 0.417, -0.611, 0.293),
    spread=Spread(mean=(1.985, 3.480, 2.351, 1.945, 0.844), deviation=(1.141, 1.181, 0.972, 0.645, 0.590)),
    switch=0.36,
)
"""Learned from 6,424 labelled pairs of Amazon sessions (clothing, electronics) by `whimbrel eval
cross-domain --weights`. Learned on one and tested on the other: average precision .544 (electronics) and .690
(clothing), where title similarity alone has .438 and .579; F1 .558 and .671."""
SWITCH = LEARNED.switch
"""Probability from which a switch is said: the best F1 on sessions that the weights were not learned from."""


def switch_probabilities(
    items: Sequence[Item], *, among: Spread | None = None, segmenter: Segmenter = LEARNED
) -> Floats:
    """How probably the intent changes after each item but the last, shape (len(items) - 1,).

    The less two neighbours are alike, and the more each of them is like other items of the session, the likelier.
    `among` is the spread of features among sessions like this one (see `spread_of`), by default among those learned
    from.
    """
    return probabilities(switch_features(likenesses(items) @ segmenter.likeness), among or segmenter.spread, segmenter)


def probabilities(features: Floats, among: Spread, segmenter: Segmenter) -> Floats:
    """Of features, shape (pairs, features), the probabilities, shape (pairs,)."""
    standard = (features - np.array(among.mean)) / np.array(among.deviation)
    return np.asarray(1 / (1 + np.exp(-(segmenter.bias + standard @ np.array(segmenter.weights)))), dtype=np.float64)


def segments(items: Sequence[Item], vectors: Vectors | None = None) -> list[tuple[Item, ...]]:
    """A session cut where its intent probably changes; never between events of one moment, whose order says nothing.

    `vectors` are the items' own where they are known, (items, 384): the spread of likenesses is that of the session.
    """
    if not items:
        return []
    features = switch_features(likenesses(items, vectors) @ LEARNED.likeness)
    switches = probabilities(features, drawn_together(features, LEARNED.spread), LEARNED) >= SWITCH
    parted = [
        place
        for place, (before, after) in enumerate(pairwise(items), start=1)
        if switches[place - 1] and (before.time is None or before.time != after.time)
    ]
    return [tuple(items[start:stop]) for start, stop in pairwise([0, *parted, len(items)])]


def spread_of(sessions: Iterable[Sequence[Item]], *, segmenter: Segmenter = LEARNED) -> Spread:
    """How the features of these sessions spread, drawn to the spread that was learned where there are few."""
    features = [switch_features(likenesses(items) @ segmenter.likeness) for items in sessions]
    return drawn_together(np.concatenate(features), segmenter.spread) if features else segmenter.spread


def drawn_together(features: Floats, learned: Spread) -> Spread:
    """The spread of features, shape (pairs, features), to which PSEUDO_PAIRS pairs of the learned one were added."""
    count, total = len(features), len(features) + PSEUDO_PAIRS
    usual = np.array(learned.mean)
    mean = (features.sum(axis=0) + PSEUDO_PAIRS * usual) / total
    squares = ((features - mean) ** 2).sum(axis=0) if count else 0.0
    added = PSEUDO_PAIRS * (np.array(learned.deviation) ** 2 + (usual - mean) ** 2)
    return Spread(tuple(mean.tolist()), tuple(np.sqrt((squares + added) / total).tolist()))


def switch_features(alike: Floats) -> Floats:
    """FEATURES of each two neighbours, shape (items - 1, 5), from how alike each two items are."""
    size = len(alike)
    if size < 2:
        return np.empty((0, len(FEATURES)))
    first, second = np.arange(size - 1), np.arange(1, size)
    neighbour = alike[first, second]
    session = np.full(size - 1, alike[~np.eye(size, dtype=bool)].mean())
    if size == 2:
        return np.stack([neighbour, neighbour, neighbour, session, np.zeros(1)], axis=1)
    others = np.ones((size - 1, size), dtype=bool)
    others[first, first] = others[first, second] = False
    one, other = (np.where(others, alike[rows], -np.inf).max(axis=1) for rows in (first, second))
    company = (np.abs(alike[first] - alike[second]) * others).sum(axis=1) / (size - 2)
    return np.stack([neighbour, np.maximum(one, other), np.minimum(one, other), session, company], axis=1)


def likenesses(items: Sequence[Item], vectors: Vectors | None = None) -> Floats:
    """LIKENESSES of each two items, shape (len(items), len(items), 4); where one has no topics, half of them are taken
    to be shared. `vectors` stand in for those of the titles."""
    vectors = (title_vectors(items) if vectors is None else vectors).astype(np.float64)
    paths = [_paths(item) for item in items]
    categories = _jaccard(_held([{step for path in own for step in path} for own in paths]))
    words = _jaccard(_held([{word for path in own for step in path for word in _WORD.findall(step)} for own in paths]))
    depth = np.zeros((len(items), len(items)))
    for steps in range(1, DEEPEST + 1):
        beginnings = _held([{path[:steps] for path in own if len(path) >= steps} for own in paths])
        depth += beginnings @ beginnings.T > 0
    found = np.stack([vectors @ vectors.T, categories, words, depth / DEEPEST], axis=-1)
    bare = np.array([not own for own in paths], dtype=bool)
    found[bare[:, None] | bare[None, :], 1:] = 0.5
    return found


def _paths(item: Item) -> list[tuple[str, ...]]:
    """Topics as paths of categories: "Clothing, Shoes & Jewelry,Women],[Sports,Yoga" holds two of two steps."""
    paths = (_STEP.split(path.strip("[]").casefold()) for topic in item.topics for path in _PATH.split(topic))
    return [path for parts in paths if (path := tuple(step.strip() for step in parts if step.strip()))]


def _held(sets: Sequence[Set[Hashable]]) -> Floats:
    """Which of all members each set holds, shape (sets, members)."""
    column = {member: number for number, member in enumerate(dict.fromkeys(member for own in sets for member in own))}
    held = np.zeros((len(sets), len(column)))
    for row, own in enumerate(sets):
        held[row, [column[member] for member in own]] = 1
    return held


def _jaccard(held: Floats) -> Floats:
    both, sizes = held @ held.T, held.sum(axis=1)
    return np.asarray(both / np.maximum(sizes[:, None] + sizes[None, :] - both, 1), dtype=np.float64)
