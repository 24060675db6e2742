"""What everybody did, as far as it bears on one history: figures of every item of a log, as of a moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.tools.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.item_factors import ItemFactors
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
FIGURES = ("itemknn", "people", "follows", "near", "lately", "ever", "age", "factors", "nearest_factors")


@dataclass(frozen=True)
class Crowd:
    """For one history, of every item of a log, shape (items,).

    `together` is by seed, (seeds, items), the cosine of their audiences (item-kNN; Sarwar et al., 2001), `itemknn` the
    sum of these; `people` how much people alike met it (V-SKNN; Ludewig & Jannach, 2018); `follows` how often it
    came right after a seed, `near` how often within NEAR steps of one, where fewer steps and people more alike count
    more (as in STAN; Garg et al., 2019). Later seeds weigh more. `lately`, `ever` count events;
    `age` is the logarithm of how many thousandths of the log it is old, nan where unknown; `factors` and
    `nearest_factors` are the mean and the greatest cosine of its factors with those of the seeds, 0 without any."""

    log: InteractionLog
    seeds: list[str]
    together: Floats
    itemknn: Floats
    people: Floats
    follows: Floats
    near: Floats
    lately: Ints
    ever: Ints
    age: Floats
    factors: Floats
    nearest_factors: Floats

    def says(self, row: int) -> dict[str, float]:
        """The figures of one item, by FIGURES."""
        return {name: float(getattr(self, name)[row]) for name in FIGURES}

    @classmethod
    def of(
        cls, log: InteractionLog, history: Sequence[Item], *, before: float, factors: ItemFactors | None = None
    ) -> "Crowd":
        """As of a moment: nothing that happened at or after it counts, nor do factors that know of it."""
        latest = dict.fromkeys(item.item_id for item in reversed(liked_of(history)))
        rows = log.rows(list(latest))
        seeds = [item_id for item_id, row in zip(latest, rows, strict=True) if row >= 0][:SEEDS]
        rows = rows[rows >= 0][:SEEDS]
        decay = 0.5 ** (np.arange(len(rows)) / HALF_LIFE)
        size, stop = len(log.item_ids), int(np.searchsorted(log.time, before))
        audience = np.sqrt(np.maximum(log.audience(before=before), 1))
        together, follows, near = np.zeros((len(rows), size)), np.zeros(size), np.zeros(size)
        shared = np.zeros(len(log.user_ids))
        asked = [log.pairs_of(int(row), before=before)[-AUDIENCE:] for row in rows]
        for place, pairs in enumerate(asked):
            shared[log.pair_user[pairs]] += decay[place]
        alike = shared / np.sqrt(np.maximum(log.breadth(before=before), 1))
        for place, (row, pairs) in enumerate(zip(rows, asked, strict=True)):
            if not len(pairs):
                continue
            met = log.items_of(log.pair_user[pairs], before=before)
            together[place] = np.bincount(met, minlength=size) / (np.sqrt(len(pairs)) * audience)
            together[place, row] = 0.0
            behind, _ = _beside(log, pairs, np.array([1]), before)
            follows += decay[place] / len(pairs) * np.bincount(behind, minlength=size)
            beside, which = _beside(log, pairs, STEPS, before)
            worth = np.outer(alike[log.pair_user[pairs]], NEARNESS).ravel()[which]
            near += decay[place] / np.sqrt(len(pairs)) * np.bincount(beside, weights=worth, minlength=size)
        likeness = np.zeros(size), np.zeros(size)
        if factors is not None and factors.until <= before and len(rows):
            cosine = factors.vectors @ factors.vectors[rows].T
            likeness = cosine @ (decay / decay.sum()), cosine.max(axis=1)
        return cls(
            log=log,
            seeds=seeds,
            together=together,
            itemknn=decay @ together,
            people=_people(log, shared, before),
            follows=follows,
            near=near / np.sqrt(audience),
            lately=recent_popularity(log, before=before),
            ever=log.popularity(before=before),
            age=_age(log, stop),
            factors=likeness[0],
            nearest_factors=likeness[1],
        )


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
    return np.asarray(np.bincount(items, weights=alike[owner], minlength=len(found)), dtype=np.float64)


def _age(log: InteractionLog, stop: int) -> Floats:
    if not stop:
        return np.full(len(log.item_ids), np.nan)
    now, begun = log.time[stop - 1], log.time[0]
    age = (now - log.appeared) / max(now - begun, 1e-9)
    return np.where(np.isfinite(age), np.log1p(1000 * np.maximum(age, 0.0)), np.nan)
