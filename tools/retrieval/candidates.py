"""Candidates for a list: the best items of all channels, without items that are known, refused or too expensive."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.conditions import Condition
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.channels import OVERFETCH, RetrievalQuery, search_channels
from whimbrel.tools.text.encoder import Vectors
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


class SeedValues(Mapping[str, float]):
    """One value for each seed, keyed by item id. Few are read, so the dictionary is made when the first one is."""

    def __init__(self, seeds: Sequence[str], values: NDArray[Any]) -> None:
        self._seeds, self._values = seeds, values

    @cached_property
    def _by_seed(self) -> dict[str, float]:
        return dict(zip(self._seeds, self._values.tolist(), strict=True))

    def __getitem__(self, item_id: str) -> float:
        return self._by_seed[item_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_seed)

    def __len__(self) -> int:
        return len(self._seeds)


def as_candidates(
    items: Sequence[Item],
    vectors: Mapping[str, Vectors],
    statistics: ItemStatistics,
    channels: Sequence[Mapping[str, int]] = (),
) -> list[Candidate]:
    """Turn items into candidates.

    Args:
        items: The items.
        vectors: Their text vectors, keyed by id.
        statistics: The statistics of the log's items for this history.
        channels: The ranks of each item, keyed by channel. It is empty for items that the caller supplied.
    """
    rows = statistics.log.rows([item.item_id for item in items])
    position = {int(row): number for number, row in enumerate(dict.fromkeys(rows[rows >= 0]))}
    known = np.array(list(position), dtype=np.int64)
    seed_users = statistics.seed_users(known)
    cosines, users = statistics.seed_cosines(known, seed_users).T, seed_users.T
    of_items = statistics.of_items(known)
    candidates = []
    for number, (item, row) in enumerate(zip(items, rows.tolist(), strict=True)):
        vector, of_channels = vectors[item.item_id], channels[number] if channels else {}
        if row < 0:
            candidates.append(Candidate(item, vector, of_channels))
            continue
        place = position[row]
        of_seeds, users_of_seeds = (SeedValues(statistics.seeds, values[place]) for values in (cosines, users))
        candidates.append(Candidate(item, vector, of_channels, of_seeds, users_of_seeds, of_items[place]))
    return candidates


def retrieve(
    catalogue: Catalogue,
    query: RetrievalQuery,
    *,
    weights: Mapping[str, float] | None = None,
    avoid: Sequence[str] = (),
    max_price: float | None = None,
    conditions: Sequence[Condition] = (),
    n: int = 200,
) -> list[Candidate]:
    """Retrieve up to `n` candidates, the best first, each with its rank in every channel.

    A shop may sell one product under several ids. Each title is therefore returned only once, and titles of the
    history are not returned.

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
    refusal = Refusal.of(avoid, catalogue.topic_vectors(before=query.before) if avoid else {})
    titles_met = {item.title.casefold() for item in query.history}

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
    vectors = catalogue.item_vectors([item.item_id for item in chosen.values()])
    return as_candidates(list(chosen.values()), vectors, ranks.statistics, ranks.of_rows(list(chosen)))


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
