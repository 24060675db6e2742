"""Candidates from several channels, as of a moment: known by then, not met before, not refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.encoder import Vectors, encode
from whimbrel.tools.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.records import liked as liked_of
from whimbrel.tools.refuse import Refusal

SEEDS = 20
"""Latest distinct items whose neighbours are asked."""
HALF_LIFE = 5
"""Items after which one weighs half as much in the short-term vector and among the seeds."""
PER_CHANNEL = 100
"""Candidates of each channel, and more where more are asked for."""
SPARE = 4
"""How many times more neighbours are asked of the index than are wanted, and again where too many are filtered."""
RECENT_SHARE, LEAST_RECENT = 0.02, 1000
"""Recent popularity counts this share of the log before the moment, and at least so many events."""
RANK_CONSTANT = 60
"""Reciprocal rank fusion's constant (Cormack et al., 2009)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interest:
    """Unit vectors of what a person is about: short term, long term, predicted, wished; None where unknown."""

    short: Vectors | None = None
    long: Vectors | None = None
    predicted: Vectors | None = None
    wished: Vectors | None = None

    def channels(self) -> dict[str, Vectors]:
        """The vectors that are known, by name."""
        return {name: vector for name, vector in vars(self).items() if vector is not None}


@dataclass(frozen=True)
class Candidate:
    """An item that may be recommended: the place it took in each channel, its vector, and figures of the log.

    `co_occurrence` maps the user's own items to their cosine with this one; `popularity` counts recent events.
    """

    item: Item
    vector: Vectors
    channels: Mapping[str, int] = field(default_factory=dict)
    co_occurrence: Mapping[str, float] = field(default_factory=dict)
    popularity: int = 0

    @property
    def neighbours(self) -> float:
        """Item-kNN's score: the sum of the cosines, later items weighing more (as ordered in the mapping)."""
        return float(sum(value * 0.5 ** (age / HALF_LIFE / 2) for age, value in enumerate(self.co_occurrence.values())))


def interest_of(
    history: Sequence[Item],
    vectors: Mapping[str, Vectors],
    *,
    predicted: Sequence[Vectors] = (),
    query: str = "",
    liked: Sequence[Vectors] = (),
) -> Interest:
    """The person's vectors from those of the items they met (`vectors`), of predicted topics and of a wish."""
    met = [vectors[item.item_id] for item in liked_of(history) if item.item_id in vectors]
    ages = np.arange(len(met))[::-1]
    wished = [*(encode([query]) if query else []), *liked]
    return Interest(
        short=_mean(met, 0.5 ** (ages / HALF_LIFE)),
        long=_mean(met, np.ones(len(met))),
        predicted=_mean(list(predicted), np.ones(len(predicted))),
        wished=_mean(wished, np.ones(len(wished))),
    )


def latest_items(history: Sequence[Item]) -> list[str]:
    """Ids of the last distinct items that were not disliked, the latest first."""
    return list(dict.fromkeys(item.item_id for item in reversed(liked_of(history))))[:SEEDS]


def recent_popularity(log: InteractionLog, *, before: float) -> NDArray[np.int64]:
    """Events of each item in the latest stretch of the log before a moment, shape (items,)."""
    stop = int(np.searchsorted(log.time, before))
    start = max(stop - max(int(stop * RECENT_SHARE), LEAST_RECENT), 0)
    return np.bincount(log.item[start:stop], minlength=len(log.item_ids))


class Catalogue(Protocol):
    """Where candidates come from: a `Store`, or items and a log in memory."""

    @property
    def log(self) -> InteractionLog:
        """What everybody did."""

    def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """The items of these ids."""

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Their text vectors, unit length."""

    def topic_vectors(self, *, before: float) -> dict[str, Vectors]:
        """The vectors of topics known by then."""

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """For each vector up to `n` items with their cosine, the nearest first."""

    def item_count(self) -> int:
        """How many items there are."""


def retrieve(
    catalogue: Catalogue,
    history: Sequence[Item],
    *,
    before: float,
    interest: Interest,
    avoid: Sequence[str] = (),
    without: Sequence[str] = (),
    n: int = 200,
    by_title: bool = True,
) -> list[Candidate]:
    """Up to `n` candidates, fused by reciprocal rank.

    Nothing that happened at or after `before` has any part in it, and no item of the history or of `without` comes
    back. `by_title` takes items of equal titles for one: each title once, and none that is in the history.
    """
    log, per_channel = catalogue.log, max(PER_CHANNEL, n // 2)
    position = {item_id: row for row, item_id in enumerate(log.item_ids)}
    allowed = log.known(before=before)
    gone = [*(item.item_id for item in history), *without]
    allowed[[position[item_id] for item_id in gone if item_id in position]] = False
    popularity = recent_popularity(log, before=before)
    seeds = [item_id for item_id in latest_items(history) if item_id in position]
    together = log.co_occurrence([position[seed] for seed in seeds], before=before)
    ranked = {
        "popular": _top(popularity, allowed, per_channel),
        "neighbours": _top(_decayed(together), allowed, per_channel),
    }
    channels = interest.channels()
    for name, vector in channels.items():
        ranked[name] = _nearest(catalogue, vector, position, allowed, n=per_channel)
    places: dict[int, dict[str, int]] = {}
    for name, rows in ranked.items():
        for place, row in enumerate(rows, start=1):
            places.setdefault(row, {})[name] = place
    fused = sorted(places, key=lambda row: (-_fused(places[row]), log.item_ids[row]))
    refusal = Refusal.of(avoid, catalogue.topic_vectors(before=before) if avoid else {})
    items = catalogue.items([log.item_ids[row] for row in fused])
    met = {item.title.casefold() for item in history} if by_title else set()
    kept: dict[str, int] = {}
    for row in fused:
        item = items[log.item_ids[row]]
        name = item.title.casefold() if by_title else item.item_id
        if name not in kept and name not in met and not refusal.covers(item):
            kept[name] = row
        if len(kept) == n:
            break
    vectors = catalogue.item_vectors([log.item_ids[row] for row in kept.values()])
    return [
        Candidate(
            item=items[log.item_ids[row]],
            vector=vectors[log.item_ids[row]],
            channels=places[row],
            co_occurrence={seed: float(together[k, row]) for k, seed in enumerate(seeds)},
            popularity=int(popularity[row]),
        )
        for row in kept.values()
    ]


def _nearest(
    catalogue: Catalogue, vector: Vectors, position: Mapping[str, int], allowed: NDArray[np.bool_], *, n: int
) -> list[int]:
    """Rows of the `n` nearest items that are allowed, the nearest first. The index knows no time and nobody's history,
    so it is asked for more until enough of them are, or it holds no more."""
    asked, total = n * SPARE, catalogue.item_count()
    while True:
        (near,) = catalogue.nearest(vector[None], n=asked)
        rows = [position[item_id] for item_id, _ in near if item_id in position]
        found = [row for row in rows if allowed[row]][:n]
        if len(found) == n or asked >= total:
            return found
        asked *= SPARE


def _decayed(together: Floats) -> Floats:
    weights = 0.5 ** (np.arange(len(together)) / HALF_LIFE / 2)
    return np.asarray(weights @ together)


def _top(scores: NDArray[np.int64] | Floats, allowed: NDArray[np.bool_], n: int) -> list[int]:
    """Rows of the highest positive scores, equal ones in order."""
    masked = np.where(allowed, scores, 0)
    best = np.argsort(-masked, kind="stable")[:n]
    return [int(row) for row in best if masked[row] > 0]


def _fused(places: Mapping[str, int]) -> float:
    return sum(1 / (RANK_CONSTANT + place) for place in places.values())


def _mean(vectors: Sequence[Vectors], weights: Floats) -> Vectors | None:
    if not vectors:
        return None
    mean = np.average(np.stack(vectors), axis=0, weights=weights)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
