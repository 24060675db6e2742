"""The interface of a source of items and interactions, which a `Store` and a catalogue in memory implement."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Protocol

import numpy as np

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

IMAGE, CAPTION = "image", "caption"
"""The modalities of the images that an encoder reads, and of what a vision model says that they show (see
`Catalogue.vectors_by_modality`)."""


class Catalogue(Protocol):
    """Items, and the interactions of all users with them. Both may be empty."""

    @property
    def log(self) -> InteractionLog:
        """The interactions of all users as arrays, ordered by time."""

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the vectors of items and topics."""

    @property
    def min_people(self) -> int:
        """How many people must have met an item before it is shown to others. Items that nobody met are shown."""

    @property
    def marks(self) -> Mapping[str, Sequence[str]]:
        """The sensitive topics of everybody under "", and those of a person under the digest of their id."""

    @property
    def sensitive(self) -> SensitiveTopics:
        """The topics that this catalogue is without."""

    @property
    def zone(self) -> tzinfo:
        """The zone of the hours and weekends of habits."""

    def history(self, user_id: str, *, before: float = np.inf) -> Sequence[Item]:
        """Return the user's interactions earlier than `before`, the earliest first.

        Raises:
            DataError: no such user.
        """

    def items(self, item_ids: Sequence[str], *, before: float = np.inf) -> dict[str, Item]:
        """Return the items of these ids, keyed by id, with the facts that were known just before a moment."""

    @property
    def fields(self) -> FieldTable:
        """The fields of all items as columns, one row for each item of the log."""

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the unit text vectors of these items, keyed by id. An unknown id is left out."""

    def vectors_by_modality(self, item_ids: Sequence[str]) -> Mapping[str, Mapping[str, Vectors]]:
        """Return further unit vectors of these items, such as of their images, keyed by modality and then by id.

        What an item lacks is left out.
        """

    def topic_vectors(self, *, before: float) -> dict[str, Vectors]:
        """Return the vector of each topic's name, keyed by topic, for items that appeared before `before`."""

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """Return the vectors of these topics' names, in order. A topic without a vector is left out."""

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return, for each vector, the ids of up to `n` nearest items with their cosines, the nearest first."""

    def nearest_by_modality(self, name: str, vectors: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` items that are nearest to vectors of a modality on average, the nearest first.

        The mean of all items is taken off first, since the images of a catalogue have much in common.
        """

    def item_count(self) -> int:
        """Return the number of items."""

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` users whose taste vectors are nearest to `vector`."""

    def habits(self, *, before: float) -> TopicHabits | None:
        """Return the topic counts of all users, up to a moment not after `before`; None if the log is empty."""
