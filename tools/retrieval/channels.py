"""The channels of retrieval. Each channel ranks the items of a log by one reason to recommend them."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.learned_items import NO_LEARNED_ITEMS, LearnedItems
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.interest import LATEST, Interest, latest_liked
from whimbrel.tools.text.encoder import Vectors

LEARNED_CHANNELS = (
    "popular",
    "rising",
    "itemknn",
    "ridge",
    "ease",
    "user_knn",
    "next_item",
    "co_occurrence",
    "embedding",
    "taught",
    "modality",
    "topics",
    "short",
    "long",
    "predicted",
)
"""Channels whose weight is learned from a log. Every other channel has the weight 1, except `wished`."""
WISH = 3.0
"""The weight of the channel `wished`, which follows a stated wish."""
PER_CHANNEL, NEIGHBOURS = 200, 100
"""A channel ranks at least PER_CHANNEL items. A channel that searches the text index ranks at least NEIGHBOURS."""
OVERFETCH = 4
"""The text index is asked for at most this many times more items than are wanted. If too few of them are allowed, it is
asked for this many times more again."""
LIKE_MINDED = 30
"""The latest items of this many users with a similar taste are candidates."""
EXPLORED = 0.05
"""This share of the candidates is drawn from items with few events."""
RANK_CONSTANT = 60
"""The constant of reciprocal rank fusion (Cormack et al., 2009)."""


@dataclass(frozen=True)
class RetrievalQuery:
    """A request for items that suit a user at a moment.

    Attributes:
        history: The user's events before the moment.
        before: The moment, in Unix seconds. Only earlier events are read.
        interest: The user's vectors of interest.
        expected: Probabilities of the topics of the next event, keyed by topic.
        learned: What the log taught about its items.
        without: Ids of other items that must not be returned.
        min_people: An item that somebody met, but fewer people than this, is not returned.
        only: For each item of the log, whether it may be returned; None if all may.
        repeat: Whether items of the history may be returned.
    """

    history: Sequence[Item]
    before: float
    interest: Interest
    expected: Mapping[str, float] = field(default_factory=dict)
    learned: LearnedItems = NO_LEARNED_ITEMS
    without: Sequence[str] = ()
    min_people: int = 1
    only: NDArray[np.bool_] | None = None
    repeat: bool = False

    def allowed(self, log: InteractionLog) -> NDArray[np.bool_]:
        """Return for each item of the log whether it may be returned, shape (items,)."""
        allowed = counts_before(log, self.before).shown(self.min_people)
        met = () if self.repeat else {item.item_id for item in self.history}
        excluded = log.rows([*met, *self.without])
        allowed[excluded[excluded >= 0]] = False
        return allowed if self.only is None else allowed & self.only


@dataclass(frozen=True, eq=False)
class ChannelRanks:
    """The ranks of all items that the channels returned.

    Attributes:
        statistics: The statistics of each item of the log for this history.
        channels: Names of the channels.
        rows: Rows of the items in the log, ascending.
        ranks: The rank of each item in each channel, counted from 1, shape (rows, channels). 0 stands for an item that
            the channel did not return.
    """

    statistics: ItemStatistics
    channels: tuple[str, ...]
    rows: Ints
    ranks: Ints

    @classmethod
    def of(cls, statistics: ItemStatistics, rankings: Mapping[str, Sequence[int]]) -> "ChannelRanks":
        """Build the ranks from the rows that each channel returned, the best first."""
        rows = np.unique(np.concatenate([np.asarray(of_channel, dtype=np.int64) for of_channel in rankings.values()]))
        ranks = np.zeros((len(rows), len(rankings)), dtype=np.int64)
        for column, of_channel in enumerate(rankings.values()):
            ranks[np.searchsorted(rows, of_channel), column] = np.arange(1, len(of_channel) + 1)
        return cls(statistics, tuple(rankings), rows, ranks)

    def best_first(self, weights: Mapping[str, float]) -> list[int]:
        """Sort the rows by weighted reciprocal rank fusion. Rows of equal scores are sorted by item id."""
        weight_of = {"wished": WISH, **weights}
        scores = reciprocal(self.ranks) @ np.array([weight_of.get(channel, 1.0) for channel in self.channels])
        # Item ids are sorted, so rows are in their order. Rounding makes equal sums equal in any order of addition.
        order: list[int] = self.rows[np.argsort(-np.round(scores, 9), kind="stable")].tolist()
        return order

    def of_rows(self, rows: Sequence[int]) -> Ints:
        """Return the ranks of items, shape (rows, channels). They are 0 for an item that no channel returned."""
        wanted = np.asarray(rows, dtype=np.int64)
        if not len(self.rows):
            return np.zeros((len(wanted), len(self.channels)), dtype=np.int64)
        places = np.minimum(np.searchsorted(self.rows, wanted), len(self.rows) - 1)
        return np.where((self.rows[places] == wanted)[:, None], self.ranks[places], 0)


def reciprocal(ranks: Ints) -> Floats:
    """Return the scores of ranks in a channel, in the same shape.

    The first rank scores 1, and later ranks score less. A rank of 0, of an item that was not returned, scores 0.
    """
    return np.where(ranks > 0, (RANK_CONSTANT + 1) / (RANK_CONSTANT + ranks), 0.0)


def search_channels(catalogue: Catalogue, query: RetrievalQuery, *, n: int = 200) -> ChannelRanks:
    """Rank items in every channel. A higher `n`, the wanted number of candidates, gives longer rankings.

    Channels:
        short, long, predicted, wished: items whose text is nearest to a vector of interest.
        phrases: items whose text is nearest to a search phrase of a language model.
        itemknn, ridge, ease, user_knn, next_item, co_occurrence, embedding: see `ItemStatistics`.
        taste: the latest items of users with a similar taste.
        topics: popular items of the topics that are expected next.
        popular: items with the most recent events.
        rising: items that are more popular recently than over the whole log.
        modality: items whose image, sound or other vector is nearest to those of the latest items.
        explore: items with few events, drawn at random. The same history gives the same draw.

    Only events earlier than `query.before` count. Only items that the query allows are returned.
    """
    log = catalogue.log
    statistics = ItemStatistics.of(log, query.history, before=query.before, learned=query.learned)
    allowed, counts = query.allowed(log), counts_before(log, query.before)
    scores: dict[str, Ints | Floats] = {
        "popular": statistics.recent_popularity,
        "rising": counts.rise,
        "itemknn": statistics.itemknn,
        "ridge": statistics.ridge,
        "ease": statistics.ease,
        "user_knn": statistics.user_knn,
        "next_item": statistics.next_item,
        "co_occurrence": statistics.co_occurrence,
        "embedding": statistics.embedding + statistics.nearest_embedding,
        "taught": statistics.taught + statistics.nearest_taught,
        "taste": _taste_counts(catalogue, query.interest, query.before),
        "topics": _topic_scores(log, query.expected, counts.interest),
    }
    rankings = {channel: _top(values, allowed, max(PER_CHANNEL, n // 2)) for channel, values in scores.items()}
    wanted = max(NEIGHBOURS, n // 2)
    near = _nearest(catalogue, query.interest.channels() | _phrases(query.interest), allowed, n=wanted)
    if of_phrases := [near.pop(name) for name in _phrases(query.interest)]:
        rankings["phrases"] = _in_turn(of_phrases)
    rankings |= near
    if of_modalities := _nearest_by_modality(catalogue, latest_liked(query.history), allowed, n=wanted):
        rankings["modality"] = _in_turn(list(of_modalities.values()))
    rankings["explore"] = _explored(statistics, allowed & counts.rare, n=int(n * EXPLORED))
    return ChannelRanks.of(statistics, rankings)


def _phrases(interest: Interest) -> dict[str, Vectors]:
    """Return the vectors of the search phrases, keyed by a name for each."""
    return {} if interest.phrases is None else {f"phrase {n}": vector for n, vector in enumerate(interest.phrases)}


def _taste_counts(catalogue: Catalogue, interest: Interest, before: float) -> Floats:
    """Count, for each item, the users with a similar taste who have it among their latest items."""
    log = catalogue.log
    counts = np.zeros(len(log.item_ids))
    # Taste vectors use all events of the log. For a moment inside the log they would reveal later events.
    if interest.long is None or (log.end is not None and before <= log.end):
        return counts
    user_ids = catalogue.people_near(interest.long, n=LIKE_MINDED)
    for user in (log.user_rows[user_id] for user_id in user_ids if user_id in log.user_rows):
        np.add.at(counts, log.pair_item[log.pair_offset[user] : log.pair_offset[user + 1]][-LATEST:], 1.0)
    return counts


def _topic_scores(log: InteractionLog, expected: Mapping[str, float], interest: Floats) -> Floats:
    """Return, for each item, the mean probability of its topics times the interest in it (see `MomentCounts`)."""
    if not expected or not len(log.topic):
        return np.zeros(len(log.item_ids))
    probability = np.array([expected.get(topic, 0.0) for topic in log.topics])
    counts = np.diff(log.topic_offset)
    total = np.bincount(log.topic_item, weights=probability[log.topic], minlength=len(counts))
    return np.asarray(total / np.maximum(counts, 1) * interest)


def _explored(statistics: ItemStatistics, allowed: NDArray[np.bool_], *, n: int) -> list[int]:
    """Draw `n` rare allowed items."""
    rare = np.flatnonzero(allowed)
    # Python's hash differs between processes, so a checksum makes the draw depend on the history alone.
    seed = zlib.crc32(" ".join(statistics.seeds).encode())
    drawn = np.random.default_rng(seed).choice(rare, min(n, len(rare)), replace=False)
    return [int(row) for row in drawn]


def _in_turn(rankings: Sequence[Sequence[int]]) -> list[int]:
    """Return the best of each ranking, then the second of each, and so on. Each row comes once."""
    return list(dict.fromkeys(row for rows in zip_longest(*rankings) for row in rows if row is not None))


def _nearest(
    catalogue: Catalogue, vectors: Mapping[str, Vectors], allowed: NDArray[np.bool_], *, n: int
) -> dict[str, list[int]]:
    """Return, for each vector, the rows of its `n` nearest allowed items, the nearest first."""

    def search(names: Sequence[str], wanted: int) -> list[list[str]]:
        lists = catalogue.nearest(np.stack([vectors[name] for name in names]), n=wanted)
        return [[item_id for item_id, _ in near] for near in lists]

    return _allowed_of(list(vectors), search, catalogue, allowed, n=n)


def _nearest_by_modality(
    catalogue: Catalogue, latest: Sequence[str], allowed: NDArray[np.bool_], *, n: int
) -> dict[str, list[int]]:
    """Return, for each modality that some of the latest items have, the rows of the `n` nearest allowed items."""
    met = {name: list(of.values()) for name, of in catalogue.vectors_by_modality(latest).items() if of}

    def search(names: Sequence[str], wanted: int) -> list[list[str]]:
        return [catalogue.nearest_by_modality(name, np.stack(met[name]), n=wanted) for name in names]

    return _allowed_of(list(met), search, catalogue, allowed, n=n)


def _allowed_of(
    names: Sequence[str],
    search: Callable[[Sequence[str], int], Sequence[Sequence[str]]],
    catalogue: Catalogue,
    allowed: NDArray[np.bool_],
    *,
    n: int,
) -> dict[str, list[int]]:
    """Return the rows of the first `n` allowed items of each search. It gets its names and how many ids are wanted."""
    # The index cannot filter by time or history, so it is asked for more items until enough of them are allowed.
    refused, total, rankings = int(np.count_nonzero(~allowed)), catalogue.item_count(), dict[str, list[int]]()
    wanted = min(n + refused, n * OVERFETCH)
    while missing := [name for name in names if name not in rankings]:
        for name, near in zip(missing, search(missing, wanted), strict=True):
            rows = catalogue.log.rows(near)
            rows = rows[rows >= 0]
            kept = rows[allowed[rows]][:n].tolist()
            if len(kept) == n or wanted >= total:
                rankings[name] = kept
        wanted *= OVERFETCH
    return rankings


def _top(scores: Ints | Floats, allowed: NDArray[np.bool_], n: int) -> list[int]:
    """Return the rows of the `n` highest positive scores, the highest first. Equal scores keep their order."""
    rows = np.flatnonzero(allowed & (scores > 0))
    if len(rows) > n:
        rows = rows[scores[rows] >= np.partition(scores[rows], -n)[-n]]
    return [int(row) for row in rows[np.argsort(-scores[rows], kind="stable")][:n]]
