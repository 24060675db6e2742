"""A catalogue and a log in memory, with the same reading methods as a store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property

import numpy as np

from whimbrel.tools.errors import DataError
from whimbrel.tools.event_meanings import Meaning
from whimbrel.tools.log.interaction_log import InteractionLog, Ints
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.records import Interaction, Item, Occurrence
from whimbrel.tools.retrieval.field_table import FieldTable
from whimbrel.tools.store.modalities import centred
from whimbrel.tools.store.user_records import TASTE_EVENTS, taste_vector
from whimbrel.tools.text.encoder import DIMENSION, TextEncoder, Vectors
from whimbrel.tools.text.encoders import encoder_for
from whimbrel.tools.text.item_vectors import item_vectors
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

MEAN_OF = 2000
"""The mean vector of a modality is that of so many items."""


@dataclass(frozen=True, eq=False)
class KnownVectors:
    """Vectors that are known already, such as those of a store. They are not computed again.

    Attributes:
        items: The unit text vector of each item, in the order of the items, shape (items, 384).
        tastes: The taste vector of each user, in the order of `InteractionLog.user_ids`, shape (users, 384).
        topics: Vectors of names of topics, keyed by name. They may be incomplete.
    """

    items: Vectors
    tastes: Vectors
    topics: Mapping[str, Vectors]


class InMemory:
    """Items, and the interactions of users with them.

    Attributes:
        log: The interactions as arrays.
        timed: Whether the times of the log are real. Otherwise they only give the order of the events, and the items
            of a history have no time.
        min_people: How many people must have met an item before it is shown to others.
        zone: The zone of the hours and weekends of habits.
        marks: The sensitive topics of everybody and of each person.
        encoder: The encoder of the vectors of items and topics.
    """

    def __init__(
        self,
        items: Sequence[Item],
        log: InteractionLog,
        *,
        timed: bool,
        histories: Mapping[str, Sequence[Occurrence]] | None = None,
        meanings: Mapping[str, Meaning] | None = None,
        zone: tzinfo = UTC,
        min_people: int = 1,
        marks: Mapping[str, Sequence[str]] | None = None,
        vectors: KnownVectors | None = None,
        encoder: TextEncoder | None = None,
        modalities: Mapping[str, Vectors] | None = None,
    ) -> None:
        """Make a catalogue.

        Args:
            items: All items of the log. Further items may be included.
            log: The interactions.
            timed: Whether the times of the log are real.
            histories: The same interactions in order of time, keyed by user. They include the kind of event and the
                rating, which the log does not contain. None if these are unknown.
            meanings: Meanings that the log gives to event words of its own. They need `histories`.
            zone: The zone of the hours and weekends of habits.
            min_people: How many people must have met an item before it is shown to others.
            marks: The sensitive topics of everybody and of each person (see `Settings.marks`).
            vectors: Vectors that are known already; None to compute them with the encoder.
            encoder: The text encoder. The default is the one that reads the language of the items.
            modalities: Further unit vectors of the items, such as of their images, in the order of the items, keyed by
                modality. The row of an item that lacks one is NaN.
        """
        self.marks, self.sensitive = marks or {}, SensitiveTopics(())
        self.log = log
        self.timed = timed
        self.min_people = min_people
        self._items = {item.item_id: item for item in items}
        self.encoder = encoder or encoder_for(self._items.values())
        self._histories = histories
        self._meanings = meanings
        self.zone = zone
        self._habits = TopicHabitsOverTime(log, zone)
        self._known, self._modalities = vectors, modalities or {}
        self._means: dict[str, tuple[Vectors, Vectors]] = {}  # and the distance of each item from the mean
        self._topic_vectors: dict[str, Vectors] = dict(vectors.topics) if vectors else {}

    def all_items(self) -> list[Item]:
        """Return every item."""
        return list(self._items.values())

    def items(self, item_ids: Sequence[str], *, before: float = np.inf) -> dict[str, Item]:
        """Return the items of these ids, keyed by id. An unknown id is left out. Facts do not change here."""
        return {item_id: self._items[item_id] for item_id in item_ids if item_id in self._items}

    @cached_property
    def fields(self) -> FieldTable:
        """The fields of all items as columns, one row for each item of the log."""
        return FieldTable(self._items.values(), self.log.item_ids)

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the unit text vectors of these items, keyed by id. An unknown id is left out."""
        return {item_id: self._vectors[self._position[item_id]] for item_id in item_ids if item_id in self._position}

    def vectors_by_modality(self, item_ids: Sequence[str]) -> dict[str, dict[str, Vectors]]:
        """Return the further unit vectors of these items, keyed by modality and then by id."""
        if not self._modalities:
            return {}
        rows = {item_id: self._position[item_id] for item_id in item_ids if item_id in self._position}
        return {
            name: {item_id: vectors[row] for item_id, row in rows.items() if not np.isnan(vectors[row, 0])}
            for name, vectors in self._modalities.items()
        }

    def topic_vectors(self, *, before: float) -> dict[str, Vectors]:
        """Return the vector of each topic's name, keyed by topic, for items that appeared before `before`."""
        known = self.log.topics_of(np.flatnonzero(counts_before(self.log, before).shown(self.min_people)))[0]
        topics = sorted({self.log.topics[number] for number in known})
        return dict(zip(topics, self.vectors_of_topics(topics), strict=True))

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """Return the vectors of these topics' names, in order."""
        absent = [topic for topic in topics if topic not in self._topic_vectors]
        self._topic_vectors |= zip(absent, self.encoder.encode(absent), strict=True) if absent else ()
        return [self._topic_vectors[topic] for topic in topics]

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return, for each vector, the ids of up to `n` nearest items with their cosines, the nearest first."""
        nearest = []
        # Twice as fast as `vectors @ self._vectors.T`, which is the same product.
        for cosines in (self._vectors @ vectors.T).T:
            rows = _highest(cosines, n)
            nearest.append(list(zip([self._ids[row] for row in rows.tolist()], cosines[rows].tolist(), strict=True)))
        return nearest

    def nearest_by_modality(self, name: str, vectors: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` items nearest to the mean of vectors of a modality, the nearest first."""
        table = self._modalities[name]
        if name not in self._means:
            known = np.flatnonzero(~np.isnan(table[:, 0]))
            mean = table[known[:MEAN_OF]].mean(axis=0)
            lengths = np.einsum("ij,ij->i", table, table) - 2 * table @ mean + mean @ mean
            self._means[name] = mean, np.sqrt(np.maximum(lengths, 1e-12))
        mean, lengths = self._means[name]
        towards = centred(vectors, mean).mean(axis=0)
        likeness = (table @ towards - mean @ towards) / lengths
        rows = _highest(likeness, n)  # those of items without a vector are NaN and come last
        return [self._ids[row] for row in rows[~np.isnan(likeness[rows])].tolist()]

    def item_count(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` users whose taste vectors are nearest. These vectors use events of all times."""
        return [self.log.user_ids[row] for row in _highest(self._tastes @ vector, n)]

    def habits(self, *, before: float) -> TopicHabits | None:
        """Return the topic counts of all users, up to a moment not after `before`; None if there are no topics."""
        habits = self._habits.before(before)
        return habits if len(habits.topics) else None

    def history(self, user_id: str, *, before: float = np.inf) -> list[Item]:
        """Return the user's events earlier than `before` as items, the earliest first.

        Raises:
            DataError: no such user.
        """
        if user_id not in self.log.user_rows:
            raise DataError(f"no user {user_id!r} in this log of {len(self.log.user_ids)} users")
        if self._histories is not None:
            occurrences = [occurrence for occurrence in self._histories[user_id] if occurrence.time < before]
            return [
                Interaction.join(user_id, occurrence, self._items[occurrence.item_id], self._meanings)
                for occurrence in occurrences
            ]
        events = self._events_of(self.log.user_rows[user_id])
        events = events[self.log.time[events] < before]
        items = [self._items[self.log.item_ids[row]] for row in self.log.item[events]]
        times = self.log.time[events].tolist() if self.timed else [None] * len(items)
        return [item.model_copy(update={"time": time}) for item, time in zip(items, times, strict=True)]

    @cached_property
    def _ids(self) -> list[str]:
        return list(self._items)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {item_id: row for row, item_id in enumerate(self._ids)}

    @cached_property
    def _vectors(self) -> Vectors:
        return self._known.items if self._known else item_vectors(list(self._items.values()), self.encoder)

    @cached_property
    def _tastes(self) -> Vectors:
        """Taste vectors of all users, computed as in a store, shape (users, 384)."""
        if self._known:
            return self._known.tastes
        rows = np.array([self._position[item_id] for item_id in self.log.item_ids], dtype=np.int64)
        tastes = np.zeros((len(self.log.user_ids), DIMENSION), dtype=np.float32)
        for user in range(len(tastes)):
            latest = self._events_of(user)[-TASTE_EVENTS:]
            if len(latest):
                tastes[user] = taste_vector(list(self._vectors[rows[self.log.item[latest]]]))
        return tastes

    @cached_property
    def _events_by_user(self) -> tuple[Ints, Ints]:
        order = np.argsort(self.log.user, kind="stable")
        return order, np.searchsorted(self.log.user[order], np.arange(len(self.log.user_ids) + 1))

    def _events_of(self, user: int) -> Ints:
        order, bounds = self._events_by_user
        return order[bounds[user] : bounds[user + 1]]


def _highest(values: Vectors, n: int) -> Ints:
    """Return the rows of the `n` highest values, the highest first. Equal values keep their order."""
    rows = np.argpartition(-values, n)[:n] if n < len(values) else np.arange(len(values))
    return np.asarray(rows[np.argsort(-values[rows], kind="stable")])
