"""The source of items and interactions: what a `Store` and a catalogue in memory have in common."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import Vectors


class Catalogue(Protocol):
    """Items, and what everybody did with them; both may be empty."""

    @property
    def log(self) -> InteractionLog:
        """The interactions of all users as arrays, ordered by time."""

    def history(self, user_id: str, *, before: float = np.inf) -> Sequence[Item]:
        """Return the user's interactions earlier than `before`, the first one first.

        Raises:
            DataError: no such user.
        """

    def items(self, item_ids: Sequence[str]) -> dict[str, Item]:
        """Return the items of these ids."""

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the items' text vectors, unit length; an unknown id is left out."""

    def topic_vectors(self, *, before: float) -> dict[str, Vectors]:
        """Return the vector of the name of every topic that some item known before `before` has."""

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """Return the vectors of these topics' names, in order; a topic without one is left out."""

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return for each vector up to `n` item ids with their cosine, the nearest first."""

    def item_count(self) -> int:
        """Return the number of items."""

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` users whose taste vector is nearest."""

    def habits(self, *, before: float) -> TopicHabits | None:
        """Return the topic base rates of all users, counted up to some moment before; None where the log is empty."""
