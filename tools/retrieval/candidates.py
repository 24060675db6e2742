"""Candidates for a list: the best items of all channels, without items that are known, refused or too expensive."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from whimbrel.tools.conditions import Condition
from whimbrel.tools.log.interaction_log import Floats, Ints
from whimbrel.tools.log.item_statistics import STATISTICS, ItemStatistics
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.channels import OVERFETCH, RetrievalQuery, search_channels
from whimbrel.tools.text.encoder import DIMENSION, Vectors
from whimbrel.tools.text.exclusions import Refusal

MOST_WIDENED = 64
"""If refusals or a price limit leave too few candidates, the channels are asked for up to this many times more."""


@dataclass(frozen=True)
class Candidate:
    """An item that may be recommended.

    Attributes:
        item: The item.
        vector: Its unit text vector, shape (384,).
        channels: Its rank in each retrieval channel that returned it, counted from 1.
        seed_cosines: Its co-occurrence cosine with each of the user's latest items, keyed by item id.
        seed_users: How many people of the log have both it and each of the user's latest items, keyed by item id.
        statistics: Its statistics from the log (see `ItemStatistics`). They are empty if the log lacks the item.
    """

    item: Item
    vector: Vectors
    channels: Mapping[str, int] = field(default_factory=dict)
    seed_cosines: Mapping[str, float] = field(default_factory=dict)
    seed_users: Mapping[str, float] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)

    @property
    def popularity(self) -> int:
        """The number of the item's recent events."""
        return int(self.statistics.get("recent_popularity", 0))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Items that may be recommended, with what is known of them as columns. Each one is read as a `Candidate`.

    Attributes:
        items: The items.
        vectors: Their unit text vectors, shape (items, 384).
        channels: Names of the retrieval channels.
        ranks: The rank of each item in each channel, counted from 1, shape (items, channels). 0 stands for an item that
            the channel did not return.
        log: The statistics of the log's items for this history; None if there is no log.
    """

    items: Sequence[Item] = ()
    vectors: Vectors = field(default_factory=lambda: np.empty((0, DIMENSION), dtype=np.float32))
    channels: Sequence[str] = ()
    ranks: Ints = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    log: ItemStatistics | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Candidate:
        ranks = self.ranks[number].tolist() if len(self.ranks) else ()
        known: dict[str, Mapping[str, float]] = {}
        if self.log is not None and self._rows[number] >= 0:
            users, cosines = (dict(zip(self.log.seeds, of[:, number].tolist(), strict=True)) for of in self._of_seeds)
            statistics = dict(zip(STATISTICS, self.statistics[number].tolist(), strict=True))
            known = {"seed_users": users, "seed_cosines": cosines, "statistics": statistics}
        of_channels = {name: rank for name, rank in zip(self.channels, ranks, strict=False) if rank}
        return Candidate(self.items[number], self.vectors[number], of_channels, **known)

    def __iter__(self) -> Iterator[Candidate]:
        return (self[number] for number in range(len(self)))

    @cached_property
    def statistics(self) -> Floats:
        """The items' statistics from the log, shape (items, STATISTICS). They are NaN for an item that it lacks."""
        table = np.full((len(self.items), len(STATISTICS)), np.nan)
        if self.log is not None:
            known = self._rows >= 0
            table[known] = self.log.of_items(self._rows[known])
        return table

    @cached_property
    def people(self) -> Ints:
        """How many people of the log met each item before the moment, shape (items,)."""
        people = np.zeros(len(self.items), dtype=np.int64)
        if self.log is not None:
            known = self._rows >= 0
            people[known] = np.rint(self.log.item_norms[self._rows[known]] ** 2)
        return people

    @cached_property
    def _rows(self) -> Ints:
        """The row of each item in the log, or -1."""
        ids = [item.item_id for item in self.items]
        return self.log.log.rows(ids) if self.log is not None else np.full(len(ids), -1)

    @cached_property
    def _of_seeds(self) -> tuple[Ints, Floats]:
        """The users whom each item shares with each seed, and the cosines of their users, shape (seeds, items) each.

        They are counted when the first candidate is read. A batch without reasons reads none.
        """
        if self.log is None:
            return np.empty((0, len(self)), dtype=np.int64), np.empty((0, len(self)))
        known = self._rows >= 0
        rows, position = np.unique(self._rows[known], return_inverse=True)
        counts = self.log.seed_users(rows)
        shape = len(self.log.seeds), len(self)
        users, cosines = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        users[:, known], cosines[:, known] = counts[:, position], self.log.seed_cosines(rows, counts)[:, position]
        return users, cosines


def retrieve(
    catalogue: Catalogue,
    query: RetrievalQuery,
    *,
    weights: Mapping[str, float] | None = None,
    avoid: Sequence[str] = (),
    max_price: float | None = None,
    conditions: Sequence[Condition] = (),
    n: int = 200,
) -> Candidates:
    """Retrieve up to `n` candidates, the best first, each with its rank in every channel.

    A shop may sell one product under several ids. Each title is therefore returned only once, and titles of the
    history are not returned unless the query allows repeats.

    Args:
        catalogue: The source of the items and the log.
        query: The user, the moment, and the items that must not be returned.
        weights: The weight of each channel.
        avoid: What the user refuses, in words.
        max_price: The highest accepted price. An item without a price is accepted.
        conditions: Conditions on fields, all of which must hold.
        n: The wanted number of candidates. If `avoid` or `max_price` leave too few, the channels are asked for more.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if conditions:
        query = replace(query, only=catalogue.fields.rows_where(conditions))
    topic_vectors = catalogue.topic_vectors(before=query.before) if avoid else {}
    refusal = Refusal.of(avoid, topic_vectors, catalogue.encoder)
    titles_met = set() if query.repeat else {item.title.casefold() for item in query.history}

    def admits(item: Item) -> bool:
        too_dear = max_price is not None and item.price is not None and item.price > max_price
        return not too_dear and not refusal.covers(item) and item.title.casefold() not in titles_met

    limited = avoid or max_price is not None
    wanted, most = n, min(MOST_WIDENED * n, len(catalogue.log.item_ids)) if limited else n
    while True:
        ranks = search_channels(catalogue, query, n=wanted)
        best_first = ranks.best_first(weights or {})
        if conditions or wanted >= most:
            # No channel may know an item that nobody has chosen yet.
            rest = query.allowed(catalogue.log)
            rest[best_first] = False
            best_first += np.flatnonzero(rest)[: most - len(best_first)].tolist() if len(best_first) < most else []
        chosen = _first_admitted(catalogue, best_first, admits, n=n, before=query.before)
        if len(chosen) == n or wanted >= most:
            break
        wanted = min(OVERFETCH * wanted, most)
    items = list(chosen.values())
    if not items:
        return Candidates()
    vectors = catalogue.item_vectors([item.item_id for item in items])
    stacked = np.stack([vectors[item.item_id] for item in items])
    return Candidates(items, stacked, ranks.channels, ranks.of_rows(list(chosen)), ranks.statistics)


def _first_admitted(
    catalogue: Catalogue, rows: Sequence[int], admits: Callable[[Item], bool], *, n: int, before: float
) -> dict[int, Item]:
    """Return the first `n` admitted items, keyed by row, each title once."""
    ids, items = catalogue.log.item_ids, dict[str, Item]()
    admitted, titles = dict[int, Item](), set[str]()
    for position, row in enumerate(rows):
        if position % n == 0:  # read one page at a time, since most rows are not needed
            items |= catalogue.items([ids[row] for row in rows[position : position + n]], before=before)
        item = items[ids[row]]
        title = item.title.casefold()
        if title not in titles and admits(item):
            titles.add(title)
            admitted[row] = item
        if len(admitted) == n:
            break
    return admitted
