"""Statistics of every item of the log for one user's history, from the events before a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.learned_items import NO_LEARNED_ITEMS, LearnedItems
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.log.shared_users import SharedUsers
from whimbrel.tools.log.taught_items import TaughtItems
from whimbrel.tools.records import Item
from whimbrel.tools.records import liked as liked_of

MOST_SEEDS = 20
"""This many of the latest distinct items of a history are its seeds. Other items are compared with the seeds."""
SEED_HALF_LIFE = 3
"""The weight of a seed halves with every this many later seeds."""
USERS_PER_SEED = 300
"""At most this many users of a seed count, the latest ones. This limits the work for a best-seller."""
SIMILAR_USERS = 100
"""This many of the most similar users count in `user_knn`."""
CO_OCCURRENCE_STEPS = 10
"""An item counts in `co_occurrence` if it is at most this many of a user's distinct items away from a seed."""
STEPS = np.concatenate([np.arange(-CO_OCCURRENCE_STEPS, 0), np.arange(1, CO_OCCURRENCE_STEPS + 1)])
# SEED_HALF_LIFE, CO_OCCURRENCE_STEPS and STEP_WEIGHTS were chosen on training queries of three logs
# (docs/evaluation/ranking.md).
STEP_WEIGHTS = 1 / np.sqrt(np.abs(STEPS))
RIDGE = 1.0
"""The penalty of `ridge`, in mean numbers of users of a seed.

Of .1, .3, 1 and 3, the first is best on games, the second on MovieTweetings and the last on films and groceries (400
training queries each); 1 loses at most .01 NDCG@10 on each.
"""
STATISTICS = (
    "itemknn",
    "ridge",
    "ease",
    "user_knn",
    "next_item",
    "co_occurrence",
    "recent_popularity",
    "popularity",
    "age",
    "embedding",
    "nearest_embedding",
    "taught",
    "nearest_taught",
)
"""Names of an item's statistics, which are fields of `ItemStatistics`."""


@dataclass(frozen=True, eq=False)
class SeedUsers:
    """The seeds of a history, and the users who interacted with them.

    Attributes:
        item_ids: Ids of the seeds, the latest first.
        rows: Rows of the seeds in the log.
        weights: The weight of each seed: 1 for the latest, halved every SEED_HALF_LIFE seeds.
        counts: The number of users that count for each seed.
        norms: The square roots of `counts`, at least 1.
        pairs: Positions of (user, item) pairs in the log whose item is a seed, seed by seed. A user of two seeds has
            two pairs.
        users: The row of each pair's user.
        seed_of_pair: The position of each pair's seed.
    """

    item_ids: list[str]
    rows: Ints
    weights: Floats
    counts: Ints
    norms: Floats
    pairs: Ints
    users: Ints
    seed_of_pair: Ints

    @property
    def pairs_of_seeds(self) -> list[Ints]:
        """The positions of the pairs of each seed."""
        return np.split(self.pairs, np.cumsum(self.counts))[:-1]

    @classmethod
    def of(cls, log: InteractionLog, history: Sequence[Item], *, before: float) -> "SeedUsers":
        """Find the seeds of a history that the log contains, and their users earlier than `before`."""
        # An item that the user disliked does not show what they look for next, so it is no seed.
        latest_first = dict.fromkeys(item.item_id for item in reversed(liked_of(history)))
        rows = log.rows(list(latest_first))
        item_ids = [item_id for item_id, row in zip(latest_first, rows, strict=True) if row >= 0][:MOST_SEEDS]
        rows = rows[rows >= 0][:MOST_SEEDS]
        # An item's pairs are ordered by time, so the last pairs belong to its latest users.
        pairs = [log.pairs_of(int(row), before=before)[-USERS_PER_SEED:] for row in rows]
        counts = np.array([len(of_seed) for of_seed in pairs], dtype=np.int64)
        flat = np.concatenate(pairs) if pairs else np.empty(0, dtype=np.int64)
        return cls(
            item_ids=item_ids,
            rows=rows,
            weights=0.5 ** (np.arange(len(rows)) / SEED_HALF_LIFE),
            counts=counts,
            norms=np.sqrt(np.maximum(counts, 1)),
            pairs=flat,
            users=log.pair_user[flat],
            seed_of_pair=np.repeat(np.arange(len(rows)), counts),
        )


@dataclass(frozen=True, eq=False)
class ItemStatistics:
    """The statistics of every item of a log for one history, as of a moment. Each has the shape (items,).

    The seeds are the latest items of the history, and a later seed has a higher weight. `itemknn`, `ridge`, `ease`,
    `user_knn`, `next_item` and `co_occurrence` are sums over the seeds.

    Attributes:
        log: The log. The statistics have the order of its items.
        seeds: Ids of the seeds, the latest first.
        itemknn: For each seed, take its weight times the cosine between the item's users and the seed's users. This is
            their sum (item-kNN; Sarwar et al., 2001).
        ridge: Prediction of a ridge regression of the item on the seeds, over the users of the log. Two seeds that say
            the same count once. It is EASE without the items that the user does not have, solved anew for each request.
        ease: Score by the weights of items on each other (see `Ease`). It is 0 if none were learned.
        user_knn: Sum of the similarities of the most similar users who interacted with the item. The similarity of a
            user is the total weight of their seeds, divided by the square root of the number of their items (V-SKNN;
            Ludewig & Jannach, 2018).
        next_item: For each seed, take its weight times the share of its users whose next item was this one. This is
            their sum (a Markov chain).
        co_occurrence: For each seed and each of its users with the item at most CO_OCCURRENCE_STEPS from the seed, take
            the seed's weight times the user's similarity. Divide it by the square roots of the number of the seed's
            users and of the number of steps. This is their sum, divided by the fourth root of the number of the item's
            users (after STAN; Garg et al., 2019).
        recent_popularity, popularity, age: See `MomentCounts`.
        embedding: Mean cosine between the embeddings of the item and of the seeds, weighted by the seeds' weights. It
            is 0 without embeddings.
        nearest_embedding: The highest of these cosines. It is 0 without embeddings.
        taught, nearest_taught: As `embedding` and `nearest_embedding`, of the taught vectors of the items' texts.
        shared_users: How many of the counted users of each seed have each other item, shape (seeds, items), sparse.
        seed_norms: The square root of the number of users that count for each seed.
        item_norms: The square root of the number of each item's distinct users.
    """

    log: InteractionLog
    seeds: list[str]
    itemknn: Floats
    ridge: Floats
    ease: Floats
    user_knn: Floats
    next_item: Floats
    co_occurrence: Floats
    recent_popularity: Ints
    popularity: Ints
    age: Floats
    embedding: Floats
    nearest_embedding: Floats
    taught: Floats
    nearest_taught: Floats
    shared_users: Any
    seed_norms: Floats
    item_norms: Floats

    @classmethod
    def of(
        cls, log: InteractionLog, history: Sequence[Item], *, before: float, learned: LearnedItems = NO_LEARNED_ITEMS
    ) -> "ItemStatistics":
        """Compute the statistics of every item.

        Args:
            log: The interactions of all users.
            history: The user's events in order of time. Items that the user disliked, or that the log does not
                contain, are not used as seeds.
            before: A time in Unix seconds. Only earlier events count.
            learned: What the log taught about its items, in their order. A model that was learned from an event at or
                after `before` is ignored.
        """
        seeds, size, learned = SeedUsers.of(log, history, before=before), len(log.item_ids), learned.as_of(before)
        counts = counts_before(log, before)
        item_norms = np.sqrt(np.maximum(counts.users, 1))
        similar_users = _SimilarUsers.of(log, seeds, before)
        shared_users = SharedUsers.of_log(log).of(seeds.rows, seeds.pairs_of_seeds, before=before)
        seed_weights = np.stack(
            [seeds.weights / seeds.norms, _ridge_weights(seeds, shared_users, counts.users)], axis=1
        )
        cosines, predictions = (shared_users.T @ seed_weights).T
        embedding, nearest_embedding = _cosines_with(seeds, learned.embeddings, size=size)
        taught, nearest_taught = _cosines_with(seeds, learned.taught, size=size)
        return cls(
            log=log,
            seeds=seeds.item_ids,
            itemknn=cosines / item_norms,
            ridge=predictions,
            ease=np.zeros(size) if learned.ease is None else learned.ease.scores(seeds.rows),
            user_knn=_user_knn(log, similar_users, before),
            next_item=_next_item(log, seeds, before),
            co_occurrence=_co_occurrence(log, seeds, similar_users, before) / np.sqrt(item_norms),
            recent_popularity=counts.recent_popularity,
            popularity=counts.popularity,
            age=counts.age,
            embedding=embedding,
            nearest_embedding=nearest_embedding,
            taught=taught,
            nearest_taught=nearest_taught,
            shared_users=shared_users,
            seed_norms=seeds.norms,
            item_norms=item_norms,
        )

    def of_items(self, rows: Ints) -> Floats:
        """Return the statistics of items, shape (rows, STATISTICS)."""
        return np.stack([np.asarray(getattr(self, name)[rows], dtype=np.float64) for name in STATISTICS], axis=1)

    def seed_users(self, rows: Ints) -> Ints:
        """Count the users who have both an item and a seed. Of each seed's users, only the counted ones are read.

        Args:
            rows: Rows of distinct items.

        Returns:
            The counts, shape (seeds, rows).
        """
        return np.asarray(self.shared_users[:, rows].toarray(), dtype=np.int64)

    def seed_cosines(self, rows: Ints, users: Ints | None = None) -> Floats:
        """Compute the cosine between the users of each item and the users of each seed.

        `itemknn` is the weighted sum of these cosines.

        Args:
            rows: Rows of distinct items.
            users: What `seed_users` returned for them, if it is known.

        Returns:
            The cosines, shape (seeds, rows).
        """
        counts = self.seed_users(rows) if users is None else users
        return np.asarray(counts / np.outer(self.seed_norms, self.item_norms[rows]))


def _sums(rows: Ints, weights: Floats, size: int) -> Floats:
    """Add up the weights of each row, shape (size,)."""
    return np.asarray(np.bincount(rows, weights=weights, minlength=size), dtype=np.float64)


def _ridge_weights(seeds: SeedUsers, shared_users: Any, users_per_item: Ints) -> Floats:
    """Return the weight of each counted user of a seed in `ItemStatistics.ridge`, shape (seeds,).

    The weights of seeds are solved for once. All items are then predicted by one sum.
    """
    count = len(seeds.rows)
    if not count:
        return np.zeros(0)
    # Of a popular seed, only the latest users are read. Each then stands for several.
    scale = users_per_item[seeds.rows] / np.maximum(seeds.norms**2, 1)
    shared = shared_users[:, seeds.rows].toarray()
    gram = shared * scale[:, None]
    # Two seeds are counted among different users if one is popular. Their mean is the better estimate.
    gram = (gram + gram.T) / 2
    gram[np.diag_indices(count)] = users_per_item[seeds.rows]
    penalty = RIDGE * max(float(users_per_item[seeds.rows].mean()), 1.0)
    # Estimates from samples may have negative eigenvalues, which no matrix of counts has.
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors @ ((vectors.T @ seeds.weights) / (np.maximum(values, 0) + penalty))) * scale


@dataclass(frozen=True, eq=False)
class _SimilarUsers:
    """The users of the seeds.

    Attributes:
        rows: Their rows in the log, ascending.
        shared: The total weight of the seeds that each interacted with.
        items: How many items each has.
        of_pair: For each pair of the seeds, the position of its user in `rows`.
    """

    rows: Ints
    shared: Floats
    items: Ints
    of_pair: Ints

    @classmethod
    def of(cls, log: InteractionLog, seeds: SeedUsers, before: float) -> "_SimilarUsers":
        rows, of_pair = np.unique(seeds.users, return_inverse=True)
        shared = _sums(of_pair, seeds.weights[seeds.seed_of_pair], len(rows))
        return cls(rows, shared, log.item_counts(rows, before=before), of_pair)


def _user_knn(log: InteractionLog, users: _SimilarUsers, before: float) -> Floats:
    """Add up, for each item, the similarities of the most similar users who interacted with it."""
    size = len(log.item_ids)
    if not len(users.rows):
        return np.zeros(size)
    similarity = users.shared / np.sqrt(np.maximum(users.items, 1))
    # Users who share the most weight come first, then those with the fewest other items.
    kept = np.argsort(-users.shared, kind="stable")[: 4 * SIMILAR_USERS]
    kept = kept[np.argsort(-similarity[kept], kind="stable")[:SIMILAR_USERS]]
    items, counts = log.items_of(users.rows[kept], before=before)
    return _sums(items, np.repeat(similarity[kept], counts), size)


def _next_item(log: InteractionLog, seeds: SeedUsers, before: float) -> Floats:
    """Compute `ItemStatistics.next_item`."""
    items, pair = _items_at_steps(log, seeds.pairs, np.array([1]), before)
    # A share is divided by the number of the seed's users. `norms` is the root of that number, so it divides twice.
    return _sums(items, (seeds.weights / seeds.norms / seeds.norms)[seeds.seed_of_pair][pair], len(log.item_ids))


def _co_occurrence(log: InteractionLog, seeds: SeedUsers, users: _SimilarUsers, before: float) -> Floats:
    """Compute `ItemStatistics.co_occurrence` before it is divided by the fourth root of the number of users."""
    items, entry = _items_at_steps(log, seeds.pairs, STEPS, before)
    similarity = users.shared / np.sqrt(np.maximum(users.items, 1))
    of_pair = (seeds.weights / seeds.norms)[seeds.seed_of_pair] * similarity[users.of_pair]
    return _sums(items, np.outer(of_pair, STEP_WEIGHTS).ravel()[entry], len(log.item_ids))


def _items_at_steps(log: InteractionLog, pairs: Ints, steps: Ints, before: float) -> tuple[Ints, Ints]:
    """Find the items that lie some steps from each pair in the same user's history. A negative step goes back.

    Returns:
        The rows of the items that exist, and the position of each in the flattened (pairs, steps) table.
    """
    others = (pairs[:, None] + steps[None]).ravel()
    owners = np.repeat(log.pair_user[pairs], len(steps))
    # The pairs of all users are in one array, so a step may leave the array or reach another user.
    entry = np.flatnonzero((others >= 0) & (others < len(log.pair_item)))
    entry = entry[(log.pair_user[others[entry]] == owners[entry]) & (log.pair_time[others[entry]] < before)]
    return np.asarray(log.pair_item[others[entry]]), entry


def _cosines_with(
    seeds: SeedUsers, learned: ItemEmbeddings | TaughtItems | None, *, size: int
) -> tuple[Floats, Floats]:
    """Return each item's weighted mean cosine and its highest cosine with the learned vectors of the seeds."""
    if learned is None or not len(seeds.rows):
        return np.zeros(size), np.zeros(size)
    cosines = learned.vectors @ learned.vectors[seeds.rows].T
    weights = (seeds.weights / seeds.weights.sum()).astype(np.float32)
    return np.asarray(cosines @ weights, dtype=np.float64), np.asarray(cosines.max(axis=1), dtype=np.float64)
