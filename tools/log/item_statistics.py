"""What everybody did, as far as it bears on one history: figures of every item of a log, as of a moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.records import Item
from whimbrel.tools.records import liked as liked_of

SEEDS = 20
"""Latest distinct items of a history that are asked for what goes with them."""
HALF_LIFE = 3
"""Items after which one weighs half as much among the seeds."""
AUDIENCE = 300
"""The latest people of an item who are asked: bounds the work on a best-seller."""
ALIKE = 100
"""People most alike whose items are counted."""
NEAR = 10
STEPS = np.concatenate([np.arange(-NEAR, 0), np.arange(1, NEAR + 1)])
NEARNESS = 1 / np.sqrt(np.abs(STEPS))
RECENT_SHARE, LEAST_RECENT = 0.02, 1000
"""Lately is this share of the log before the moment, and at least so many events."""
FIGURES = (
    "itemknn",
    "user_knn",
    "next_item",
    "co_occurrence",
    "recent_popularity",
    "popularity",
    "age",
    "embedding",
    "nearest_embedding",
)


@dataclass(frozen=True)
class ItemStatistics:
    """For one history, of every item of a log, shape (items,).

    `itemknn` sums its cosines with the seeds (see `together`), `people` how much people alike met it (V-SKNN; Ludewig &
    Jannach, 2018); `follows` how often it came right after a seed, `near` how often within NEAR steps of one, where
    fewer steps and people more alike count more (as in STAN; Garg et al., 2019). Later seeds weigh more. `lately`,
    `ever` count events; `age` is the logarithm of how many thousandths of the log it is old, nan where unknown;
    `embeddings` and `nearest_factors` are the mean and the greatest cosine of its embeddings with those of the seeds, 0
    without any. `met` is what those who were asked about each seed met beside it, flat, and `asked` the seed of each;
    `breadth` and `audience` are the roots of how many were asked about each seed and met each item.
    """

    log: InteractionLog
    seeds: list[str]
    met: Ints
    asked: Ints
    breadth: Floats
    audience: Floats
    itemknn: Floats
    user_knn: Floats
    next_item: Floats
    co_occurrence: Floats
    recent_popularity: Ints
    popularity: Ints
    age: Floats
    embedding: Floats
    nearest_embedding: Floats

    def figures_of(self, row: int) -> dict[str, float]:
        """The figures of one item, by FIGURES."""
        return {name: float(getattr(self, name)[row]) for name in FIGURES}

    def seed_cosines(self, rows: Ints) -> Floats:
        """Of distinct items the cosine of their audience with that of each seed (item-kNN; Sarwar et al., 2001), shape
        (seeds, rows)."""
        place = np.full(len(self.log.item_ids), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.met] >= 0
        cells = self.asked[kept] * len(rows) + place[self.met[kept]]
        counts = np.bincount(cells, minlength=len(self.seeds) * len(rows)).reshape(len(self.seeds), len(rows))
        return np.asarray(counts / np.outer(self.breadth, self.audience[rows]))

    @classmethod
    def of(
        cls, log: InteractionLog, history: Sequence[Item], *, before: float, embeddings: ItemEmbeddings | None = None
    ) -> "ItemStatistics":
        """As of a moment: nothing that happened at or after it counts, nor do embeddings that know of it."""
        latest = dict.fromkeys(item.item_id for item in reversed(liked_of(history)))
        rows = log.rows(list(latest))
        seeds = [item_id for item_id, row in zip(latest, rows, strict=True) if row >= 0][:SEEDS]
        rows = rows[rows >= 0][:SEEDS]
        decay = 0.5 ** (np.arange(len(rows)) / HALF_LIFE)
        size = len(log.item_ids)
        audience = np.sqrt(np.maximum(log.audience(before=before), 1))
        pairs = [log.pairs_of(int(row), before=before)[-AUDIENCE:] for row in rows]
        heard = np.array([len(own) for own in pairs], dtype=np.int64)
        seed = np.repeat(np.arange(len(rows)), heard)
        pair = np.concatenate(pairs) if pairs else np.empty(0, dtype=np.int64)
        breadth = np.sqrt(np.maximum(heard, 1))
        share = decay / breadth
        shared = _sums(log.pair_user[pair], decay[seed], len(log.user_ids))
        alike = shared / np.sqrt(np.maximum(log.breadth(before=before), 1))
        met, owner = log.items_of(log.pair_user[pair], before=before, owner=True)
        asked = seed[owner]
        beside = met != rows[asked]
        met, asked = met[beside], asked[beside]
        behind, after = _beside(log, pair, np.array([1]), before)
        around, which = _beside(log, pair, STEPS, before)
        worth = np.outer(share[seed] * alike[log.pair_user[pair]], NEARNESS).ravel()[which]
        likeness = np.zeros(size), np.zeros(size)
        if embeddings is not None and embeddings.until <= before and len(rows):
            cosine = embeddings.vectors @ embeddings.vectors[rows].T
            likeness = cosine @ (decay / decay.sum()), cosine.max(axis=1)
        return cls(
            log=log,
            seeds=seeds,
            met=met,
            asked=asked,
            breadth=breadth,
            audience=audience,
            itemknn=_sums(met, share[asked], size) / audience,
            user_knn=_people(log, shared, before),
            next_item=_sums(behind, (share / breadth)[seed][after], size),
            co_occurrence=_sums(around, worth, size) / np.sqrt(audience),
            recent_popularity=recent_popularity(log, before=before),
            popularity=log.popularity(before=before),
            age=_age(log, before),
            embedding=likeness[0],
            nearest_embedding=likeness[1],
        )


def _sums(rows: Ints, weights: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(rows, weights=weights, minlength=size), dtype=np.float64)


def _beside(log: InteractionLog, pairs: Ints, steps: Ints, before: float) -> tuple[Ints, Ints]:
    """Items that the same people met so many steps after (or before) these pairs, flat, and which pair and step each
    belongs to, of (pairs, steps) flat."""
    others = (pairs[:, None] + steps[None]).ravel()
    owners = np.repeat(log.pair_user[pairs], len(steps))
    which = np.flatnonzero((others >= 0) & (others < len(log.pair_item)))
    which = which[(log.pair_user[others[which]] == owners[which]) & (log.pair_time[others[which]] < before)]
    return np.asarray(log.pair_item[others[which]]), which


def recent_popularity(log: InteractionLog, *, before: float) -> Ints:
    """Events of each item in the latest stretch of the log before a moment, shape (items,)."""
    stop = int(np.searchsorted(log.time, before))
    start = max(stop - max(int(stop * RECENT_SHARE), LEAST_RECENT), 0)
    return np.bincount(log.item[start:stop], minlength=len(log.item_ids))


def _people(log: InteractionLog, shared: Floats, before: float) -> Floats:
    """What the people most alike met, by how much of it they share (`shared`, shape (users,))."""
    found = np.zeros(len(log.item_ids))
    users = np.flatnonzero(shared)
    if len(users) > 4 * ALIKE:
        users = users[np.argsort(-shared[users], kind="stable")[: 4 * ALIKE]]
    if not len(users):
        return found
    items, owner = log.items_of(users, before=before, owner=True)
    alike = shared[users] / np.sqrt(np.maximum(np.bincount(owner, minlength=len(users)), 1))
    alike[np.argsort(-alike, kind="stable")[ALIKE:]] = 0.0
    return _sums(items, alike[owner], len(found))


def _age(log: InteractionLog, before: float) -> Floats:
    stop = int(np.searchsorted(log.time, before))
    if not stop:
        return np.full(len(log.item_ids), np.nan)
    now, begun = log.time[stop - 1], log.time[0]
    age = (now - log.appeared) / max(now - begun, 1e-9)
    told = np.isfinite(age) & log.known(before=before)
    return np.where(told, np.log1p(1000 * np.maximum(age, 0.0)), np.nan)
