"""What the log says of every item for one history, as of a moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.records import Item
from whimbrel.tools.records import liked as liked_of

MOST_SEEDS = 20
"""How many of the latest distinct items of a history are seeds: other items are judged by what goes with them."""
SEED_HALF_LIFE = 3
"""Each step of so many seeds into the past halves a seed's weight."""
USERS_PER_SEED = 300
"""How many users of a seed count, the latest to meet it: bounds the work on a best-seller."""
SIMILAR_USERS = 100
"""How many of the most similar users count in `user_knn`."""
CO_OCCURRENCE_STEPS = 10
"""How far from a seed, in steps of a user's distinct items, an item may lie to count in `co_occurrence`."""
STEPS = np.concatenate([np.arange(-CO_OCCURRENCE_STEPS, 0), np.arange(1, CO_OCCURRENCE_STEPS + 1)])
# SEED_HALF_LIFE, CO_OCCURRENCE_STEPS and these weights were chosen on training queries of three logs
# (docs/evaluation/ranking.md).
STEP_WEIGHTS = 1 / np.sqrt(np.abs(STEPS))
RECENT_SHARE, LEAST_RECENT_EVENTS = 0.02, 1000
"""The recent events are this share of those before the moment, and at least so many."""
STATISTICS = (
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
"""Names of the statistics of an item: fields of `ItemStatistics`."""


@dataclass(frozen=True, eq=False)
class SeedUsers:
    """The seeds of a history, and the users who met them.

    Attributes:
        item_ids: Ids of the seeds, the latest first.
        rows: Rows of the seeds in the log.
        weights: 1 for the latest seed, and half as much every SEED_HALF_LIFE seeds.
        norms: Square root of how many users of each seed count.
        pairs: Positions in the log of the pairs of a seed and a user who met it, flat, seed by seed. A user of two
            seeds is in two of them.
        users: The row of each pair's user.
        seed_of_pair: The position of each pair's seed.
    """

    item_ids: list[str]
    rows: Ints
    weights: Floats
    norms: Floats
    pairs: Ints
    users: Ints
    seed_of_pair: Ints

    @classmethod
    def of(cls, log: InteractionLog, history: Sequence[Item], *, before: float) -> "SeedUsers":
        """Find the seeds of a history that the log knows, and their users before a moment."""
        # An item that the user rated below their mean is no sign of what they look for next.
        latest_first = dict.fromkeys(item.item_id for item in reversed(liked_of(history)))
        rows = log.rows(list(latest_first))
        item_ids = [item_id for item_id, row in zip(latest_first, rows, strict=True) if row >= 0][:MOST_SEEDS]
        rows = rows[rows >= 0][:MOST_SEEDS]
        # The pairs of an item run from its first user to its last, so these are its latest users.
        pairs = [log.pairs_of(int(row), before=before)[-USERS_PER_SEED:] for row in rows]
        counts = np.array([len(of_seed) for of_seed in pairs], dtype=np.int64)
        flat = np.concatenate(pairs) if pairs else np.empty(0, dtype=np.int64)
        return cls(
            item_ids=item_ids,
            rows=rows,
            weights=0.5 ** (np.arange(len(rows)) / SEED_HALF_LIFE),
            norms=np.sqrt(np.maximum(counts, 1)),
            pairs=flat,
            users=log.pair_user[flat],
            seed_of_pair=np.repeat(np.arange(len(rows)), counts),
        )


@dataclass(frozen=True, eq=False)
class ItemStatistics:
    """The statistics of every item of a log for one history, as of a moment; each has the shape (items,).

    The first four sum over seeds, the latest items of the history; a later seed weighs more.

    Attributes:
        log: The log, whose rows the statistics follow.
        seeds: Ids of the seeds, the latest first.
        itemknn: Sum over seeds of weight times the cosine between the users of the item and the users of the seed
            (item-kNN; Sarwar et al., 2001).
        user_knn: Sum over the most similar users who met the item of their similarity: the weights of the seeds that
            the user met, over the root of how many items the user met (V-SKNN; Ludewig & Jannach, 2018).
        next_item: Sum over seeds of weight times the share of the seed's users who met the item as the next one after
            it (a Markov chain).
        co_occurrence: Sum over seeds and their users who met the item within CO_OCCURRENCE_STEPS before or after the
            seed of weight times similarity of the user, over the root of the number of the seed's users and the root of
            the number of steps; the sum is over the fourth root of the item's number of users (after STAN; Garg et al.,
            2019).
        recent_popularity: Number of recent events (see `recent_popularity`).
        popularity: Number of events.
        age: log(1 + 1000 a), where a is the time since the item appeared as a share of the log's length; NaN where it
            is not known when the item appeared.
        embedding: Mean cosine between the item's embedding and those of the seeds, by weight; 0 without embeddings.
        nearest_embedding: The highest of these cosines; 0 without embeddings.
        neighbour_items: Rows of the items that the users of each seed met besides it, flat, one entry for each user.
        neighbour_seeds: For each of these the position of the seed.
        seed_norms: Square root of how many users of each seed count.
        item_norms: Square root of the number of distinct users of each item.
    """

    log: InteractionLog
    seeds: list[str]
    itemknn: Floats
    user_knn: Floats
    next_item: Floats
    co_occurrence: Floats
    recent_popularity: Ints
    popularity: Ints
    age: Floats
    embedding: Floats
    nearest_embedding: Floats
    neighbour_items: Ints
    neighbour_seeds: Ints
    seed_norms: Floats
    item_norms: Floats

    @classmethod
    def of(
        cls, log: InteractionLog, history: Sequence[Item], *, before: float, embeddings: ItemEmbeddings | None = None
    ) -> "ItemStatistics":
        """Compute the statistics of every item.

        Args:
            log: The interactions of all users.
            history: The user's events in order; items that the user disliked and items that the log does not know are
                no seeds.
            before: The moment. No event at or after it counts.
            embeddings: Item embeddings in the order of the log's items. They are not used if they were learned from an
                event at or after `before`.
        """
        seeds, size = SeedUsers.of(log, history, before=before), len(log.item_ids)
        item_norms = np.sqrt(np.maximum(log.users_per_item(before=before), 1))
        seed_weights = seeds.weights / seeds.norms
        items, seed_of_item = _neighbour_items(log, seeds, before)
        shared = _sums(seeds.users, seeds.weights[seeds.seed_of_pair], len(log.user_ids))
        embedding, nearest_embedding = _embedding_cosines(seeds, embeddings, before=before, size=size)
        return cls(
            log=log,
            seeds=seeds.item_ids,
            itemknn=_sums(items, seed_weights[seed_of_item], size) / item_norms,
            user_knn=_user_knn(log, shared, before),
            next_item=_next_item(log, seeds, before),
            co_occurrence=_co_occurrence(log, seeds, shared, before) / np.sqrt(item_norms),
            recent_popularity=recent_popularity(log, before=before),
            popularity=log.popularity(before=before),
            age=_age(log, before),
            embedding=embedding,
            nearest_embedding=nearest_embedding,
            neighbour_items=items,
            neighbour_seeds=seed_of_item,
            seed_norms=seeds.norms,
            item_norms=item_norms,
        )

    def of_item(self, row: int) -> dict[str, float]:
        """Return the statistics of one item, by name."""
        return {name: float(getattr(self, name)[row]) for name in STATISTICS}

    def seed_cosines(self, rows: Ints) -> Floats:
        """Compute the cosine between the users of items and the users of each seed, the terms that `itemknn` sums.

        Args:
            rows: Rows of distinct items.

        Returns:
            Shape (seeds, rows).
        """
        position = np.full(len(self.log.item_ids), -1)
        position[rows] = np.arange(len(rows))
        wanted = position[self.neighbour_items] >= 0
        cells = self.neighbour_seeds[wanted] * len(rows) + position[self.neighbour_items[wanted]]
        counts = np.bincount(cells, minlength=len(self.seeds) * len(rows)).reshape(len(self.seeds), len(rows))
        return np.asarray(counts / np.outer(self.seed_norms, self.item_norms[rows]))


def recent_popularity(log: InteractionLog, *, before: float) -> Ints:
    """Count the recent events of each item, shape (items,).

    Recent are the last RECENT_SHARE of the events before the moment, and at least LEAST_RECENT_EVENTS.
    """
    stop = int(np.searchsorted(log.time, before))
    start = max(stop - max(int(stop * RECENT_SHARE), LEAST_RECENT_EVENTS), 0)
    return np.bincount(log.item[start:stop], minlength=len(log.item_ids))


def _sums(rows: Ints, weights: Floats, size: int) -> Floats:
    """Sum the weights of each row, shape (size,)."""
    return np.asarray(np.bincount(rows, weights=weights, minlength=size), dtype=np.float64)


def _neighbour_items(log: InteractionLog, seeds: SeedUsers, before: float) -> tuple[Ints, Ints]:
    """Return the items that the seeds' users met, flat, and the position of the seed of each; no seed with itself."""
    items, counts = log.items_of(seeds.users, before=before)
    seed = np.repeat(seeds.seed_of_pair, counts)
    others = items != seeds.rows[seed]
    return items[others], seed[others]


def _user_knn(log: InteractionLog, shared: Floats, before: float) -> Floats:
    """Sum for each item the similarities of the most similar users who met it.

    Args:
        log: The interactions.
        shared: Sum of the weights of the seeds that each user met, shape (users,).
        before: The moment.
    """
    size = len(log.item_ids)
    users = np.flatnonzero(shared)
    # Counting the items of all users who met any seed would be slow, so only those who share most are compared.
    if len(users) > 4 * SIMILAR_USERS:
        users = users[np.argsort(-shared[users], kind="stable")[: 4 * SIMILAR_USERS]]
    if not len(users):
        return np.zeros(size)
    items, counts = log.items_of(users, before=before)
    similarity = shared[users] / np.sqrt(np.maximum(counts, 1))
    # The others count nothing. Their items are read already, so a similarity of 0 is cheaper than a second reading.
    similarity[np.argsort(-similarity, kind="stable")[SIMILAR_USERS:]] = 0.0
    return _sums(items, np.repeat(similarity, counts), size)


def _next_item(log: InteractionLog, seeds: SeedUsers, before: float) -> Floats:
    """Sum for each item the weighted shares of the seeds' users who met it next."""
    items, pair = _items_at_steps(log, seeds.pairs, np.array([1]), before)
    # A share has the number of users below the line, and `norms` is its root.
    return _sums(items, (seeds.weights / seeds.norms / seeds.norms)[seeds.seed_of_pair][pair], len(log.item_ids))


def _co_occurrence(log: InteractionLog, seeds: SeedUsers, shared: Floats, before: float) -> Floats:
    """Sum for each item the weights of its meetings near a seed; see `ItemStatistics.co_occurrence`."""
    items, entry = _items_at_steps(log, seeds.pairs, STEPS, before)
    similarity = shared / np.sqrt(np.maximum(log.items_per_user(before=before), 1))
    of_pair = (seeds.weights / seeds.norms)[seeds.seed_of_pair] * similarity[seeds.users]
    return _sums(items, np.outer(of_pair, STEP_WEIGHTS).ravel()[entry], len(log.item_ids))


def _items_at_steps(log: InteractionLog, pairs: Ints, steps: Ints, before: float) -> tuple[Ints, Ints]:
    """Return the items that the users of pairs met so many steps after them, or before them for a negative step.

    Returns:
        The rows of the items, flat, and for each its position in the flattened (pairs, steps).
    """
    others = (pairs[:, None] + steps[None]).ravel()
    owners = np.repeat(log.pair_user[pairs], len(steps))
    # Pairs of all users lie in one array, so a step may leave the array or reach another user.
    entry = np.flatnonzero((others >= 0) & (others < len(log.pair_item)))
    entry = entry[(log.pair_user[others[entry]] == owners[entry]) & (log.pair_time[others[entry]] < before)]
    return np.asarray(log.pair_item[others[entry]]), entry


def _embedding_cosines(
    seeds: SeedUsers, embeddings: ItemEmbeddings | None, *, before: float, size: int
) -> tuple[Floats, Floats]:
    """Return for each item the weighted mean and the highest cosine of its embedding with those of the seeds."""
    if embeddings is None or embeddings.until > before or not len(seeds.rows):
        return np.zeros(size), np.zeros(size)
    cosines = embeddings.vectors @ embeddings.vectors[seeds.rows].T
    return cosines @ (seeds.weights / seeds.weights.sum()), cosines.max(axis=1)


def _age(log: InteractionLog, before: float) -> Floats:
    """Return the age of each item at the last event before a moment; see `ItemStatistics.age`."""
    stop = int(np.searchsorted(log.time, before))
    if not stop:
        return np.full(len(log.item_ids), np.nan)
    end, start = log.time[stop - 1], log.time[0]
    age = (end - log.appeared) / max(end - start, 1e-9)
    known = np.isfinite(age) & log.known(before=before)
    # An item may appear after the last event and still before the moment: its age is 0, not negative.
    return np.where(known, np.log1p(1000 * np.maximum(age, 0.0)), np.nan)
