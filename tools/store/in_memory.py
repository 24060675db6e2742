"""A catalogue and a log in memory, read as a store is."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import Vectors, encode
from whimbrel.tools.text.item_vectors import item_vectors


class InMemory:
    """Items and what people did with them; where a log is not `timed`, its times only order it."""

    def __init__(self, items: Sequence[Item], log: InteractionLog, *, timed: bool) -> None:
        self.log = log
        self._items = {item.item_id: item for item in items}
        self.timed = timed
        self._habits = TopicHabitsOverTime(log)
        self._topic_vectors: dict[str, Vectors] = {}

    @cached_property
    def _ids(self) -> list[str]:
        return list(self._items)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {item_id: row for row, item_id in enumerate(self._ids)}

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return item_vectors(list(self._items.values()))

    @cached_property
    def _events(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(self.log.user, kind="stable")
        return order, np.searchsorted(self.log.user[order], np.arange(len(self.log.user_ids) + 1))

    def all_items(self) -> list[Item]:
        """Every item."""
        return list(self._items.values())

    def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """The items of these ids."""
        return {item_id: self._items[item_id] for item_id in item_ids}

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Their text vectors, unit length."""
        return {item_id: self._vectors[self._position[item_id]] for item_id in item_ids}

    def topic_vectors(self, *, before: float) -> dict[str, Vectors]:
        """None: wishes are not matched with topics here."""
        return {}

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """The vectors of these topics' names."""
        absent = [topic for topic in topics if topic not in self._topic_vectors]
        self._topic_vectors |= zip(absent, encode(absent), strict=True) if absent else ()
        return [self._topic_vectors[topic] for topic in topics]

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """For each vector up to `n` items with their cosine, the nearest first."""
        found = []
        for row in vectors @ self._vectors.T:
            best = np.argpartition(-row, min(n, len(row) - 1))[:n]
            best = best[np.argsort(-row[best], kind="stable")]
            found.append([(self._ids[place], float(row[place])) for place in best])
        return found

    def item_count(self) -> int:
        """How many items there are."""
        return len(self._items)

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """None: tastes are not kept."""
        return []

    def habits(self, *, before: float) -> TopicHabits | None:
        """Return the topic base rates of all users, counted up to some moment before; None where there are none."""
        habits = self._habits.before(before)
        return habits if len(habits.topics) else None

    def history(self, user_id: str, *, before: float = np.inf) -> list[Item]:
        """Return the user's events earlier than `before` as items with their times, the first one first.

        Raises:
            DataError: no such user.
        """
        if user_id not in self.log.user_rows:
            raise DataError(f"no user {user_id!r} in this log of {len(self.log.user_ids)} users")
        order, bounds = self._events
        user = self.log.user_rows[user_id]
        events = order[bounds[user] : bounds[user + 1]]
        events = events[self.log.time[events] < before]
        items = [self._items[self.log.item_ids[row]] for row in self.log.item[events]]
        if not self.timed:
            return [item.model_copy(update={"time": None}) for item in items]
        return [
            item.model_copy(update={"time": float(t)}) for item, t in zip(items, self.log.time[events], strict=True)
        ]
