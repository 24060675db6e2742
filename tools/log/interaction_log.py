"""The interactions of all users as arrays, ordered by time.

The log is derived from the store and saved in one file next to it. Questions about all users, such as which items are
popular, then take milliseconds. Every query takes a time `before` and uses only earlier events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.arrays import opened_arrays
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.event_columns import EventColumns, History, columns_of
from whimbrel.tools.log.running_counts import RunningCounts
from whimbrel.tools.records import Item

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EventRow = tuple[float, str, str, Mapping[str, str] | None]
"""An event: the time in Unix seconds, the user's id, the item's id, and the situation or None."""

_NAMES_IN_FILE = {"item_pair_offset": "met_offset", "pairs_by_item": "met_by"}
"""Fields that have another name in a saved log: the names are part of the format on disk."""


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """Events in order of time, and the distinct (user, item) pairs among them.

    A "row" is a position in a list of names, such as `item_ids`. Some arrays hold groups one after the other, and an
    array of offsets says where each group begins. For example, the topics of item `i` are
    `topic[topic_offset[i]:topic_offset[i + 1]]`.

    Attributes:
        item_ids: Ids of all items, sorted. Items without events are included.
        user_ids: Ids of all users.
        topics: Names of all topics, sorted.
        situations: Distinct situations as JSON objects of texts; "" for an unknown situation.
        time: The time of each event in Unix seconds, in ascending order, shape (events,).
        user: The row of each event's user.
        item: The row of each event's item.
        situation: The row of each event's situation.
        appeared: When each item entered the catalogue or had its first event, whichever is earlier, shape (items,).
            It is -inf if neither time is known.
        topic_offset: Where the topics of each item begin in `topic`, shape (items + 1,).
        topic: Rows of the items' topics, item by item.
        pair_offset: Where the pairs of each user begin, shape (users + 1,).
        pair_user: The row of each pair's user, shape (pairs,). Pairs are grouped by user. Within a user they are
            ordered by time.
        pair_item: The row of each pair's item.
        pair_time: The time of the user's first event with the item.
        item_pair_offset: Where the pairs of each item begin in `pairs_by_item`, shape (items + 1,).
        pairs_by_item: Positions of the pairs, grouped by item. Within an item they are ordered by time.
    """

    item_ids: list[str]
    user_ids: list[str]
    topics: list[str]
    situations: list[str]
    time: Floats
    user: Ints
    item: Ints
    situation: Ints
    appeared: Floats
    topic_offset: Ints
    topic: Ints
    pair_offset: Ints
    pair_user: Ints
    pair_item: Ints
    pair_time: Floats
    item_pair_offset: Ints
    pairs_by_item: Ints

    @classmethod
    def build(cls, items: Iterable[Item], events: Iterable[EventRow]) -> "InteractionLog":
        """Build a log from items and events.

        Args:
            items: The catalogue, in any order.
            events: The events, in any order.

        Raises:
            KeyError: an event has an item that is not in `items`.
        """
        by_user: dict[str, list[list[Any]]] = {}
        for time, user_id, item_id, context in events:
            by_user.setdefault(user_id, []).append([time, item_id, "", None, context])
        return cls.of_histories(items, by_user.items())

    @classmethod
    def of_histories(cls, items: Iterable[Item], histories: Iterable[History]) -> "InteractionLog":
        """Build a log from items and the histories of users.

        Args:
            items: The catalogue, in any order.
            histories: Users' ids and rows of events: time, item, word, rating, situation. The last values of a row may
                be missing. A user may occur several times.

        Raises:
            KeyError: an event has an item that is not in `items`.
        """
        catalogue = sorted(items, key=lambda item: item.item_id)
        return cls.of_columns(catalogue, columns_of(histories, [item.item_id for item in catalogue]))

    @classmethod
    def of_columns(cls, items: Iterable[Item], events: EventColumns) -> "InteractionLog":
        """Build a log from items and events as arrays.

        Args:
            items: The catalogue, in any order.
            events: The events, in any order. Their items are rows of the catalogue sorted by id.
        """
        catalogue = sorted(items, key=lambda item: item.item_id)
        topics = sorted({topic for item in catalogue for topic in item.topics})
        topic_rows = {topic: row for row, topic in enumerate(topics)}
        time, user, item, situation, user_ids, situations = events
        # Events at the same time are sorted by user and item. The log then does not depend on the order of `events`.
        order = np.lexsort((item, user, time))
        time, user, item, situation = time[order], user[order], item[order], situation[order]
        return cls(
            item_ids=[entry.item_id for entry in catalogue],
            user_ids=user_ids,
            topics=topics,
            situations=situations,
            time=time,
            user=user,
            item=item,
            situation=situation,
            appeared=_first_appearances(catalogue, item, time),
            topic_offset=offsets([len(entry.topics) for entry in catalogue]),
            topic=np.array([topic_rows[topic] for entry in catalogue for topic in entry.topics], dtype=np.int64),
            **distinct_pairs(time, user, item, users=len(user_ids), items=len(catalogue)),
        )

    @property
    def end(self) -> float | None:
        """The time of the last event; None in an empty log."""
        return float(self.time[-1]) if len(self.time) else None

    def popularity(self, *, before: float, since: float = -np.inf) -> Ints:
        """Count the events of each item from `since` until just before `before`, shape (items,)."""
        if since == -np.inf:
            return self._events_per_item.before(before)
        start, stop = np.searchsorted(self.time, [since, before])
        return np.bincount(self.item[start:stop], minlength=len(self.item_ids))

    def known(self, *, before: float) -> NDArray[np.bool_]:
        """Return for each item whether it appeared earlier than `before`, shape (items,)."""
        return self.appeared < before

    def users_per_item(self, *, before: float) -> Ints:
        """Count the distinct users of each item earlier than `before`, shape (items,)."""
        return self._pairs_per_item.before(before)

    def item_counts(self, users: Ints, *, before: float) -> Ints:
        """Count the distinct items of users earlier than `before`, shape (users,)."""
        return self._end_of_pairs(users, before) - self.pair_offset[users]

    def items_per_user(self, *, before: float) -> Ints:
        """Count the distinct items of each user earlier than `before`, shape (users,)."""
        return self.item_counts(np.arange(len(self.user_ids)), before=before)

    @cached_property
    def latest(self) -> float:
        """The time of the last event, or of the last new item if that is later; -inf in an empty log."""
        return float(max([*self.time[-1:], self.appeared.max(initial=-np.inf)]))

    @cached_property
    def computed(self) -> dict[type, Any]:
        """What other modules have computed from this log and keep with it, keyed by its class."""
        return {}

    @cached_property
    def _events_per_item(self) -> RunningCounts:
        return RunningCounts(self.time, self.item, len(self.item_ids))

    @cached_property
    def _pairs_per_item(self) -> RunningCounts:
        order = np.argsort(self.pair_time, kind="stable")
        return RunningCounts(self.pair_time[order], self.pair_item[order], len(self.item_ids))

    @cached_property
    def user_rows(self) -> dict[str, int]:
        """The row of each user, keyed by id."""
        return {user_id: row for row, user_id in enumerate(self.user_ids)}

    @cached_property
    def _item_rows(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.item_ids)}

    def rows(self, item_ids: Sequence[str]) -> Ints:
        """Return the row of each item, -1 for an unknown item."""
        item_rows = self._item_rows
        return np.array([item_rows.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    def pairs_of(self, item: int, *, before: float) -> Ints:
        """Return the positions of an item's pairs earlier than `before`, in order of time."""
        pairs = self.pairs_by_item[self.item_pair_offset[item] : self.item_pair_offset[item + 1]]
        return pairs[self.pair_time[pairs] < before]

    def items_of(self, users: Ints, *, before: float) -> tuple[Ints, Ints]:
        """Return the distinct items that users interacted with earlier than `before`.

        Args:
            users: Rows of users. A user who is listed twice is returned twice.
            before: A time in Unix seconds.

        Returns:
            The rows of the items, user by user, and the number of items of each user.
        """
        starts = self.pair_offset[users]
        counts = self._end_of_pairs(users, before) - starts
        return self.pair_item[_ranges(starts, counts)], counts

    def _end_of_pairs(self, users: Ints, before: float) -> Ints:
        """Return for each user the position after their last pair that is earlier than `before`."""
        # This is a binary search for all users at once. A request reads hundreds of thousands of pairs, so comparing
        # the time of each pair would take longer.
        low, high = self.pair_offset[users], self.pair_offset[users + 1]
        if self.end is None or before > self.end:
            return high
        while (unfinished := low < high).any():
            middle = (low + high) // 2
            # For a user whose search is finished, `middle` may be past the end of the array.
            earlier = self.pair_time[np.minimum(middle, len(self.pair_time) - 1)] < before
            low = np.where(unfinished & earlier, middle + 1, low)
            high = np.where(unfinished & ~earlier, middle, high)
        return low

    def topics_of(self, items: Ints) -> tuple[Ints, Ints]:
        """Return the rows of the items' topics, item by item, and for each the position of its item in `items`."""
        counts = self.topic_offset[items + 1] - self.topic_offset[items]
        return self.topic[_ranges(self.topic_offset[items], counts)], np.repeat(np.arange(len(items)), counts)

    @cached_property
    def topic_item(self) -> Ints:
        """The row of the item of each entry of `topic`."""
        counts = np.diff(self.topic_offset)
        return np.repeat(np.arange(len(counts)), counts)

    def frequent_topics(self, topic: Ints, most: int) -> tuple[Ints, Ints]:
        """Choose the most frequent topics.

        Args:
            topic: Rows of topics, one entry per occurrence.
            most: The highest number of topics to choose.

        Returns:
            The rows of the chosen topics in ascending order. Then, for every topic of the log, its position among the
            chosen ones, -1 if it was not chosen.
        """
        frequency = np.bincount(topic, minlength=len(self.topics))
        chosen = np.sort(np.argsort(-frequency, kind="stable")[:most])
        chosen = chosen[frequency[chosen] > 0]
        position = np.full(len(self.topics), -1)
        position[chosen] = np.arange(len(chosen))
        return chosen, position

    def save(self, path: Path) -> None:
        """Write the log to a file. The file is replaced as a whole or not at all."""
        values = {_NAMES_IN_FILE.get(name, name): getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: _pack(value) if isinstance(value, list) else value for name, value in values.items()}
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def require_consistent(self) -> None:
        """Check that the arrays belong together, as those of a damaged file may not.

        Raises:
            ValueError: They do not.
        """
        events, pairs, items, users = len(self.time), len(self.pair_user), len(self.item_ids), len(self.user_ids)
        are_whole = (
            _are_rows(self.user, events, users),
            _are_rows(self.item, events, items),
            _are_rows(self.situation, events, len(self.situations)),
            _are_rows(self.topic, len(self.topic), len(self.topics)),
            _are_rows(self.pair_user, pairs, users),
            _are_rows(self.pair_item, pairs, items),
            _are_rows(self.pairs_by_item, pairs, pairs),
            _are_offsets(self.topic_offset, items, len(self.topic)),
            _are_offsets(self.pair_offset, users, pairs),
            _are_offsets(self.item_pair_offset, items, pairs),
            _are_times(self.time, events),
            _are_times(self.appeared, items),
            _are_times(self.pair_time, pairs),
        )
        if not all(are_whole):
            raise ValueError("the arrays of the log do not belong together")

    @classmethod
    def load(cls, path: Path) -> "InteractionLog":
        """Read a log that `save` wrote.

        Raises:
            OSError, ValueError: the file is not a complete log that `save` wrote.
        """
        with opened_arrays(path) as arrays:
            stored = {name: arrays[_NAMES_IN_FILE.get(name, name)] for name in cls.__dataclass_fields__}
            values: dict[str, Any] = {
                name: _unpack(array) if array.dtype == np.uint8 else array for name, array in stored.items()
            }
        # If no situation is known, `situations` is [""]. It is saved as zero bytes, as an empty list is.
        if len(values["time"]) and not values["situations"]:
            values["situations"] = [""]
        return cls(**values)


def _first_appearances(catalogue: Sequence[Item], item: Ints, time: Floats) -> Floats:
    """Return when each item entered the catalogue or had its first event; -inf if neither time is known."""
    appeared = np.array([np.inf if entry.time is None else entry.time for entry in catalogue], dtype=np.float64)
    np.minimum.at(appeared, item, time)
    # An item of unknown age without events counts as always present. Otherwise it could never be recommended.
    appeared[np.isinf(appeared)] = -np.inf
    return appeared


def distinct_pairs(time: Floats, user: Ints, item: Ints, *, users: int, items: int) -> dict[str, Any]:
    """Return the `pair_*` fields, `item_pair_offset` and `pairs_by_item` of events that are ordered by time."""
    # Events are ordered by time, so the first position of a pair is the user's first event with the item.
    _, first = np.unique(user * max(items, 1) + item, return_index=True)
    first = first[np.lexsort((first, user[first]))]
    by_item = np.lexsort((time[first], item[first]))
    return {
        "pair_offset": offsets(np.bincount(user[first], minlength=users)),
        "pair_user": user[first],
        "pair_item": item[first],
        "pair_time": time[first],
        "item_pair_offset": offsets(np.bincount(item[first], minlength=items)),
        "pairs_by_item": by_item.astype(np.int64),
    }


def offsets(counts: Sequence[int] | Ints) -> Ints:
    """Return where each group begins in an array of all groups, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))]).astype(np.int64)


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """Return the numbers `start`, `start + 1`, ... of several ranges, one range after the other."""
    # One `arange` is shifted for each range. A loop would be slow, since a request reads the ranges of thousands of
    # users.
    before = np.cumsum(counts) - counts
    numbers = np.arange(counts.sum())
    numbers -= np.repeat(before - starts, counts)
    return numbers


def _are_rows(array: Ints, length: int, size: int) -> bool:
    is_array = array.shape == (length,) and array.dtype.kind == "i"
    return is_array and (not length or bool(array.min() >= 0 and array.max() < size))


def _are_offsets(array: Ints, groups: int, length: int) -> bool:
    is_array = array.shape == (groups + 1,) and array.dtype.kind == "i"
    return is_array and bool(array[0] == 0 and array[-1] == length and (array[1:] >= array[:-1]).all())


def _are_times(array: Floats, length: int) -> bool:
    return array.shape == (length,) and array.dtype.kind == "f" and not np.isnan(array).any()


def _pack(names: list[str]) -> NDArray[np.uint8]:
    # Line breaks separate the names. `tools/records.py` removes them from ids and topics, and JSON escapes them in
    # situations.
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)


def _unpack(data: NDArray[np.uint8]) -> list[str]:
    text = data.tobytes().decode()
    return text.split("\n") if text else []
