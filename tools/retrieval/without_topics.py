"""A catalogue in which sensitive topics do not exist.

Nothing can be inferred from, shifted to, named or sent of what a catalogue does not have.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.log.without_items import without_items
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.field_table import FieldTable
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.sensitive_topics import SensitiveTopics


class WithoutTopics:
    """A catalogue without the items of sensitive topics. What is no reading of items is that of the whole catalogue."""

    def __init__(self, whole: Catalogue, sensitive: SensitiveTopics) -> None:
        self.whole, self.sensitive = whole, sensitive
        self._made: tuple[InteractionLog, InteractionLog, frozenset[str]] | None = None
        self._fields: tuple[InteractionLog, FieldTable] | None = None
        self._habits: tuple[InteractionLog, TopicHabitsOverTime] | None = None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__["whole"], name)

    @property
    def min_people(self) -> int:
        """How many people must have met an item before it is shown to others."""
        return self.whole.min_people

    @property
    def log(self) -> InteractionLog:
        """The interactions with the other items."""
        return self._without()[0]

    def _without(self) -> tuple[InteractionLog, frozenset[str]]:
        whole = self.whole.log
        if self._made is None or self._made[0] is not whole:
            topic_is = np.array([self.sensitive.covers(name) for name in whole.topics], dtype=bool)
            hidden = np.array([self.sensitive.covers(title) for title in self.whole.fields.titles], dtype=bool)
            for name, column in self.whole.fields.columns.items():
                if name != "topics":  # each topic is looked at once, not once for each item
                    hidden |= np.array(list(map(self.sensitive.covers_value, column)), dtype=bool)
            rows, owner = whole.topics_of(np.arange(len(whole.item_ids)))
            hidden[owner[topic_is[rows]]] = True
            ids = frozenset(whole.item_ids[row] for row in np.flatnonzero(hidden))
            self._made = whole, without_items(whole, hidden), ids
        return self._made[1:]

    def history(self, user_id: str, *, before: float = np.inf) -> Sequence[Item]:
        """Return the user's interactions with the other items (see `Catalogue.history`)."""
        return [event for event in self.whole.history(user_id, before=before) if not self.sensitive.covers_item(event)]

    def items(self, item_ids: Sequence[str], *, before: float = np.inf) -> dict[str, Item]:
        """Return those of these items that are not sensitive."""
        items = self.whole.items(item_ids, before=before)
        return {item_id: item for item_id, item in items.items() if not self.sensitive.covers_item(item)}

    @property
    def fields(self) -> FieldTable:
        """The fields of the other items, one row for each item of `log`."""
        log = self.log
        if self._fields is None or self._fields[0] is not log:
            shown = [row for row, title in zip(self.whole.log.item_ids, self.whole.fields.titles, strict=True) if title]
            self._fields = log, FieldTable(self.items(shown).values(), log.item_ids)
        return self._fields[1]

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of these items."""
        return self.whole.item_vectors(item_ids)

    def vectors_by_modality(self, item_ids: Sequence[str]) -> Mapping[str, Mapping[str, Vectors]]:
        """Return the further vectors of these items."""
        return self.whole.vectors_by_modality(item_ids)

    def topic_vectors(self, *, before: float = np.inf) -> dict[str, Vectors]:
        """Return the vectors of the other topics."""
        names = set(self.log.topics)
        return {name: vector for name, vector in self.whole.topic_vectors(before=before).items() if name in names}

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """Return the vectors of these topics' names."""
        return self.whole.vectors_of_topics(topics)

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return up to `n` nearest items that are not sensitive, for each vector."""
        hidden = self._without()[1]
        # As many more are asked for as could be hidden, up to as many again.
        more = min(len(hidden), n)
        lists = self.whole.nearest(vectors, n=n + more)
        return [[(id_, cosine) for id_, cosine in near if id_ not in hidden][:n] for near in lists]

    def nearest_by_modality(self, name: str, vectors: Vectors, *, n: int) -> list[str]:
        """Return up to `n` items that are not sensitive, the nearest first."""
        hidden = self._without()[1]
        near = self.whole.nearest_by_modality(name, vectors, n=n + min(len(hidden), n))
        return [item_id for item_id in near if item_id not in hidden][:n]

    def item_count(self) -> int:
        """Return the number of the other items."""
        return len(self.log.item_ids)

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """Return the users whose tastes are nearest."""
        return self.whole.people_near(vector, n=n)

    def habits(self, *, before: float) -> TopicHabits | None:
        """Return the counts of the other topics (see `Catalogue.habits`)."""
        log = self.log
        if self._habits is None or self._habits[0] is not log:
            self._habits = log, TopicHabitsOverTime(log, self.zone)
        habits = self._habits[1].before(before)
        return habits if len(habits.topics) else None

    @property
    def marks(self) -> Mapping[str, Sequence[str]]:
        """The sensitive topics of everybody and of each person."""
        return self.whole.marks

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the vectors of items and topics."""
        return self.whole.encoder

    @property
    def zone(self) -> tzinfo:
        """The zone of the hours and weekends of habits."""
        return self.whole.zone
