"""The whole log as arrays ordered by time: what everybody did, read as of a moment.

Derived from the store and kept beside it as one file, so that a question over all users (what is popular, what
is met together) costs milliseconds. Every reading takes `before` and sees nothing at or after it.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.records import Item

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Row = tuple[float, str, str, Mapping[str, str] | None]


@dataclass(frozen=True, eq=False)
class InteractionLog:
    """Events (`time`, `user`, `item`, `situation`, ordered by time) over named items, users, topics and situations
    (JSON objects of texts, "" where nothing was known).

    `pair_*` holds each user's distinct items with the time they first met, grouped by user; `met_by` orders the
    same pairs by item. Within a group pairs run from early to late. `appeared` is when each item came into the
    catalogue or was first met, -inf where neither is known.
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
    met_offset: Ints
    met_by: Ints

    @classmethod
    def build(cls, items: Iterable[Item], events: Iterable[Row]) -> "InteractionLog":
        """From items and (time, user id, item id, context or None) in any order; an event of an item not among `items`
        is a bug."""
        catalogue = sorted(items, key=lambda item: item.item_id)
        item_ids = [item.item_id for item in catalogue]
        position = {item_id: row for row, item_id in enumerate(item_ids)}
        topics = sorted({topic for item in catalogue for topic in item.topics})
        topic_position = {topic: row for row, topic in enumerate(topics)}
        topic = np.array([topic_position[t] for item in catalogue for t in item.topics], dtype=np.int64)
        topic_offset = _offsets([len(item.topics) for item in catalogue])
        user_position: dict[str, int] = {}
        situation_position: dict[str, int] = {}
        rows = [
            (
                time,
                user_position.setdefault(user_id, len(user_position)),
                position[item_id],
                situation_position.setdefault(json.dumps(context) if context else "", len(situation_position)),
            )
            for time, user_id, item_id, context in events
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)
        table = table[np.lexsort((table[:, 2], table[:, 1], table[:, 0]))]
        time = table[:, 0].copy()
        user, item, situation = table[:, 1:].T.astype(np.int64)
        appeared = np.array([np.inf if i.time is None else i.time for i in catalogue], dtype=np.float64)
        np.minimum.at(appeared, item, time)
        appeared[np.isinf(appeared)] = -np.inf
        return cls(
            item_ids=item_ids,
            user_ids=list(user_position),
            topics=topics,
            situations=list(situation_position),
            time=time,
            user=user,
            item=item,
            situation=situation,
            appeared=appeared,
            topic_offset=topic_offset,
            topic=topic,
            **_pairs(time, user, item, users=len(user_position), items=len(item_ids)),
        )

    def adding(self, event: Row) -> "InteractionLog":
        """The log with one event more, of an item that it knows."""
        time, user_id, item_id, context = event
        item = bisect_left(self.item_ids, item_id)
        user_ids = self.user_ids if user_id in self.user_ids else [*self.user_ids, user_id]
        text = json.dumps(context) if context else ""
        situations = self.situations or [""]
        situations = situations if text in situations else [*situations, text]
        user = user_ids.index(user_id)
        place = int(np.searchsorted(self.time, time, side="right"))
        appeared = self.appeared.copy()
        appeared[item] = min(appeared[item], time)
        changed: dict[str, Any] = {
            "time": np.insert(self.time, place, time),
            "user": np.insert(self.user, place, user),
            "item": np.insert(self.item, place, item),
            "situation": np.insert(self.situation, place, situations.index(text)),
        }
        pairs = _pairs(changed["time"], changed["user"], changed["item"], users=len(user_ids), items=len(self.item_ids))
        return replace(self, user_ids=user_ids, situations=situations, appeared=appeared, **changed, **pairs)

    @property
    def end(self) -> float | None:
        """The time of the last event; None in an empty log."""
        return float(self.time[-1]) if len(self.time) else None

    def popularity(self, *, before: float, since: float = -np.inf) -> Ints:
        """Events of each item in [since, before), shape (items,)."""
        start, stop = np.searchsorted(self.time, [since, before])
        if stop - start == len(self.time):
            return self._popularity
        return np.bincount(self.item[start:stop], minlength=len(self.item_ids))

    def known(self, *, before: float) -> NDArray[np.bool_]:
        """Which items had appeared by then, shape (items,)."""
        return self.appeared < before

    def audience(self, *, before: float) -> Ints:
        """Distinct users of each item, shape (items,)."""
        if self.end is None or before > self.end:
            return self._audience
        return np.bincount(self.pair_item[self.pair_time < before], minlength=len(self.item_ids))

    def breadth(self, *, before: float) -> Ints:
        """Distinct items of each user, shape (users,)."""
        if self.end is None or before > self.end:
            return np.diff(self.pair_offset)
        return np.bincount(self.pair_user[self.pair_time < before], minlength=len(self.user_ids))

    @cached_property
    def user_rows(self) -> dict[str, int]:
        """Row of each user."""
        return {user_id: row for row, user_id in enumerate(self.user_ids)}

    @cached_property
    def _popularity(self) -> Ints:
        return np.bincount(self.item, minlength=len(self.item_ids))

    @cached_property
    def _audience(self) -> Ints:
        return np.bincount(self.pair_item, minlength=len(self.item_ids))

    def rows(self, item_ids: Sequence[str]) -> Ints:
        """Rows of items, -1 for unknown ones."""
        places = self._item_rows
        return np.array([places.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    @cached_property
    def _item_rows(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.item_ids)}

    def pairs_of(self, item: int, *, before: float) -> Ints:
        """The pairs of an item by then, from the first to meet it to the last."""
        pairs = self.met_by[self.met_offset[item] : self.met_offset[item + 1]]
        return pairs[self.pair_time[pairs] < before]

    @overload
    def items_of(self, users: Ints, *, before: float) -> Ints: ...
    @overload
    def items_of(self, users: Ints, *, before: float, owner: Literal[True]) -> tuple[Ints, Ints]: ...
    def items_of(self, users: Ints, *, before: float, owner: bool = False) -> Ints | tuple[Ints, Ints]:
        """What several users met by then, flat; with `owner` also the position in `users` that each belongs to."""
        starts = self.pair_offset[users]
        counts = self.pair_offset[users + 1] - starts
        pairs = _ranges(starts, counts)
        met = self.pair_time[pairs] < before
        items = self.pair_item[pairs[met]]
        return (items, np.repeat(np.arange(len(users)), counts)[met]) if owner else items

    def topics_of(self, items: Ints) -> tuple[Ints, Ints]:
        """Topics of several items, flat, and beside each the position in `items` that it belongs to."""
        counts = self.topic_offset[items + 1] - self.topic_offset[items]
        return self.topic[_ranges(self.topic_offset[items], counts)], np.repeat(np.arange(len(items)), counts)

    def frequent_topics(self, topic: Ints, most: int) -> tuple[Ints, Ints]:
        """Of topics that were met, one entry a meeting, the `most` frequent in order, and the place of every topic of
        the log among them, -1 where it is not one."""
        frequency = np.bincount(topic, minlength=len(self.topics))
        kept = np.sort(np.argsort(-frequency, kind="stable")[:most])
        kept = kept[frequency[kept] > 0]
        place = np.full(len(self.topics), -1)
        place[kept] = np.arange(len(kept))
        return kept, place

    def save(self, path: Path) -> None:
        """One file, replaced whole or not at all."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: _pack(value) if isinstance(value, list) else value for name, value in values.items()}
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "InteractionLog":
        """Raises: OSError, ValueError, KeyError, zipfile.BadZipFile: not a whole file of this form."""
        with np.load(path, allow_pickle=False) as arrays:
            values: dict[str, Any] = {
                name: _unpack(arrays[name]) if arrays[name].dtype == np.uint8 else arrays[name]
                for name in cls.__dataclass_fields__
            }
        return cls(**values)


def _pairs(time: Floats, user: Ints, item: Ints, *, users: int, items: int) -> dict[str, Any]:
    """Each user's distinct items with the time they first met, by user and by item."""
    _, first = np.unique(user * max(items, 1) + item, return_index=True)
    first = first[np.lexsort((first, user[first]))]
    by_item = np.lexsort((time[first], item[first]))
    return {
        "pair_offset": _offsets(np.bincount(user[first], minlength=users)),
        "pair_user": user[first],
        "pair_item": item[first],
        "pair_time": time[first],
        "met_offset": _offsets(np.bincount(item[first], minlength=items)),
        "met_by": by_item.astype(np.int64),
    }


def _offsets(counts: Sequence[int] | Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(np.asarray(counts, dtype=np.int64))]).astype(np.int64)


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """The numbers start, start + 1, ... of several ranges, one range behind the other."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(before - starts, counts)


def _pack(names: list[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)


def _unpack(data: NDArray[np.uint8]) -> list[str]:
    text = data.tobytes().decode()
    return text.split("\n") if text else []
