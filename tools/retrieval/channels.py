"""The channels of retrieval: each ranks the items of a log by one reason to recommend them, as of a moment."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import Floats, Ints
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.interest import LATEST, Interest
from whimbrel.tools.text.encoder import Vectors

LEARNED_CHANNELS = (
    "popular",
    "rising",
    "itemknn",
    "user_knn",
    "next_item",
    "co_occurrence",
    "embedding",
    "topics",
    "short",
    "long",
    "predicted",
)
"""Channels whose weight is learned from a log. The others weigh 1, and a stated wish WISH."""
WISH = 3.0
PER_CHANNEL, NEIGHBOURS = 200, 100
"""Fewest items that a channel ranks, and that a channel which searches the text index ranks."""
OVERFETCH = 4
"""How many times more neighbours the text index is asked for than are wanted, and again where too few are allowed."""
LIKE_MINDED = 30
"""Users of like taste whose latest items are candidates."""
EXPLORED = 0.05
"""Share of the candidates that are drawn from the items that few users met."""
RANK_CONSTANT = 60
"""The constant of reciprocal rank fusion (Cormack et al., 2009)."""


@dataclass(frozen=True)
class RetrievalQuery:
    """What retrieval is asked about a user at a moment.

    Attributes:
        history: The events before the moment; none of these items comes back.
        before: The moment, in Unix seconds. Nothing at or after it is read.
        interest: The user's vectors of interest.
        expected: Probabilities of the topics of the next event.
        embeddings: Item embeddings of the log, where they were learned.
        without: Ids of further items that must not come back.
    """

    history: Sequence[Item]
    before: float
    interest: Interest
    expected: Mapping[str, float] = field(default_factory=dict)
    embeddings: ItemEmbeddings | None = None
    without: Sequence[str] = ()


@dataclass(frozen=True)
class ChannelRanks:
    """The rank of every item that a channel brought.

    Attributes:
        statistics: What the log says of each item for this history.
        ranks: For each row of the log the rank in each channel that brought it, from 1.
    """

    statistics: ItemStatistics
    ranks: Mapping[int, Mapping[str, int]]

    def best_first(self, weights: Mapping[str, float]) -> list[int]:
        """Order the rows by weighted reciprocal rank fusion; rows of equal scores stand by item id."""
        weight_of = {"wished": WISH, **weights}
        ids = self.statistics.log.item_ids
        scores = {
            row: sum(weight_of.get(channel, 1.0) * reciprocal(rank) for channel, rank in by_channel.items())
            for row, by_channel in self.ranks.items()
        }
        return sorted(scores, key=lambda row: (-scores[row], ids[row]))


def reciprocal(rank: int) -> float:
    """Return what a rank in a channel is worth: 1 for the first."""
    return (RANK_CONSTANT + 1) / (RANK_CONSTANT + rank)


def search_channels(catalogue: Catalogue, query: RetrievalQuery, *, n: int = 200) -> ChannelRanks:
    """Rank items in every channel; each channel brings more where more candidates (`n`) are wanted.

    Channels:
        short, long, predicted, wished: the nearest to a vector of interest.
        itemknn, user_knn, next_item, co_occurrence, embedding: see `ItemStatistics`.
        taste: the latest items of users of like taste.
        topics: what is popular among the topics expected next.
        popular, rising: what was met most of late, and what is met more often than it used to be.
        explore: items that few users met, drawn at random, the same for the same history.

    Nothing that happened at or after `query.before` counts. No item of the history or of `query.without` comes back.
    """
    log = catalogue.log
    statistics = ItemStatistics.of(log, query.history, before=query.before, embeddings=query.embeddings)
    allowed = log.known(before=query.before)
    excluded = log.rows([*(item.item_id for item in query.history), *query.without])
    allowed[excluded[excluded >= 0]] = False
    scores: dict[str, Ints | Floats] = {
        "popular": statistics.recent_popularity,
        "rising": _rise(statistics),
        "itemknn": statistics.itemknn,
        "user_knn": statistics.user_knn,
        "next_item": statistics.next_item,
        "co_occurrence": statistics.co_occurrence,
        "embedding": statistics.embedding + statistics.nearest_embedding,
        "taste": _taste_counts(catalogue, query.interest, query.before),
        "topics": _topic_scores(statistics, query.expected),
    }
    rankings = {channel: _top(values, allowed, max(PER_CHANNEL, n // 2)) for channel, values in scores.items()}
    rankings |= _nearest(catalogue, query.interest.channels(), allowed, n=max(NEIGHBOURS, n // 2))
    rankings["explore"] = _explored(statistics, allowed, n=int(n * EXPLORED))
    ranks: dict[int, dict[str, int]] = {}
    for channel, rows in rankings.items():
        for rank, row in enumerate(rows, start=1):
            ranks.setdefault(row, {})[channel] = rank
    return ChannelRanks(statistics, ranks)


def _rise(statistics: ItemStatistics) -> Floats:
    """Return how much more often than ever an item is met of late, for items met more than once of late."""
    recent = statistics.recent_popularity / max(statistics.recent_popularity.sum(), 1)
    always = statistics.popularity / max(statistics.popularity.sum(), 1)
    # The root favours items with more events: a rise from one event to two is mostly chance.
    rise = recent / np.maximum(always, 1e-12) * np.sqrt(statistics.recent_popularity)
    return np.where(statistics.recent_popularity > 1, rise, 0.0)


def _taste_counts(catalogue: Catalogue, interest: Interest, before: float) -> Floats:
    """Count for each item the users of like taste who met it among their latest items."""
    log = catalogue.log
    counts = np.zeros(len(log.item_ids))
    # Taste vectors are made of all events, so they would reveal what came after an earlier moment.
    if interest.long is None or (log.end is not None and before <= log.end):
        return counts
    user_ids = catalogue.people_near(interest.long, n=LIKE_MINDED)
    for user in (log.user_rows[user_id] for user_id in user_ids if user_id in log.user_rows):
        np.add.at(counts, log.pair_item[log.pair_offset[user] : log.pair_offset[user + 1]][-LATEST:], 1.0)
    return counts


def _topic_scores(statistics: ItemStatistics, expected: Mapping[str, float]) -> Floats:
    """Return for each item the mean probability of its topics times the logarithm of its popularity."""
    log = statistics.log
    if not expected or not len(log.topic):
        return np.zeros(len(log.item_ids))
    probability = np.array([expected.get(topic, 0.0) for topic in log.topics])
    counts = np.diff(log.topic_offset)
    items = np.repeat(np.arange(len(counts)), counts)
    total = np.bincount(items, weights=probability[log.topic], minlength=len(counts))
    popularity = np.log1p(statistics.popularity + statistics.recent_popularity)
    return np.asarray(total / np.maximum(counts, 1) * popularity)


def _explored(statistics: ItemStatistics, allowed: NDArray[np.bool_], *, n: int) -> list[int]:
    rows = np.flatnonzero(allowed)
    if not len(rows) or not n:
        return []
    rare = rows[statistics.popularity[rows] <= np.median(statistics.popularity[rows])]
    seed = zlib.crc32(" ".join(statistics.seeds).encode())
    return [int(row) for row in np.random.default_rng(seed).permutation(rare)[:n]]


def _nearest(
    catalogue: Catalogue, vectors: Mapping[str, Vectors], allowed: NDArray[np.bool_], *, n: int
) -> dict[str, list[int]]:
    """Return for each vector the rows of its `n` nearest allowed items, the nearest first."""
    wanted, total, rankings = n * OVERFETCH, catalogue.item_count(), dict[str, list[int]]()
    # The index knows neither times nor users, so it is asked for more until enough of its answers are allowed.
    while missing := [name for name in vectors if name not in rankings]:
        neighbours = catalogue.nearest(np.stack([vectors[name] for name in missing]), n=wanted)
        for name, near in zip(missing, neighbours, strict=True):
            rows = catalogue.log.rows([item_id for item_id, _ in near])
            rows = rows[rows >= 0]
            kept = rows[allowed[rows]][:n].tolist()
            if len(kept) == n or wanted >= total:
                rankings[name] = kept
        wanted *= OVERFETCH
    return rankings


def _top(scores: Ints | Floats, allowed: NDArray[np.bool_], n: int) -> list[int]:
    """Return the rows of the `n` highest positive scores; equal scores keep their order."""
    rows = np.flatnonzero(allowed & (scores > 0))
    if len(rows) > n:
        rows = rows[scores[rows] >= np.partition(scores[rows], -n)[-n]]
    return [int(row) for row in rows[np.argsort(-scores[rows], kind="stable")][:n]]
