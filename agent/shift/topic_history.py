"""A user's history as arrays: the topics, the time and the situation of each event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.sessions import open_session_start
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.records import Item
from whimbrel.tools.timestamps import local_seconds

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

RECENT_EVENTS = 5
"""The present interest is the topics of this number of latest events."""
MOST_TOPICS = 1000
"""The number of a user's most frequent topics that are read. It bounds the size of a prediction's arrays."""


@dataclass(frozen=True)
class TopicHistory:
    """The events of one user in order of time, as arrays.

    An event may have several topics. The three `pair_` arrays have one entry for each pair of an event and one of its
    topics, ordered by event. Events without topics have no pair.

    Attributes:
        topic_names: Every topic that a prediction may name. A topic's row is its position here.
        event_count: The number of events, including events without topics.
        pair_topic: The topic's row, shape (pairs,).
        pair_event: The event's position, shape (pairs,).
        pair_share: 1 divided by the number of topics of the event, shape (pairs,).
        times: Seconds of the events on a clock of the zone (see `local_seconds`), shape (events,). None unless the time
            of every event is known.
        situations: The situation of each event, each as keys and values.
        zone: The zone of the habits.
    """

    topic_names: tuple[str, ...]
    event_count: int
    pair_topic: Ints
    pair_event: Ints
    pair_share: Floats
    times: Floats | None
    situations: Sequence[Mapping[str, str]]
    zone: tzinfo = UTC

    def local(self, at: float | None) -> float | None:
        """Return a moment as `times` are: on a clock of the zone."""
        return None if at is None else float(local_seconds(np.array([at]), self.zone)[0])

    @classmethod
    def of(cls, history: Sequence[Item], habits: TopicHabits | None = None, *, zone: tzinfo = UTC) -> Self:
        """Make the arrays of a history.

        Args:
            history: Events in order of time. Plain items count as events without a time or a situation.
            habits: Their topics come first in `topic_names`. Topics that only this user has follow. Times are those of
                their zone.
            zone: The zone of times without habits.
        """
        zone = habits.zone if habits else zone
        counts: dict[str, int] = {}
        for item in history:
            for topic in item.topics:
                counts[topic] = counts.get(topic, 0) + 1
        frequent = sorted(counts, key=lambda topic: (-counts[topic], topic))[:MOST_TOPICS]
        names = tuple(dict.fromkeys([*(habits.topics if habits else ()), *sorted(frequent)]))
        row_of = {topic: row for row, topic in enumerate(names)}
        pairs = [
            (position, row_of[topic])
            for position, item in enumerate(history)
            for topic in item.topics
            if topic in row_of
        ]
        event, topic_row = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        # Events without topics have a count of 0. The maximum avoids a division by it, and its result is never read.
        share = 1.0 / np.maximum(np.bincount(event, minlength=len(history)), 1)[event]
        times = [item.time for item in history]
        return cls(
            topic_names=names,
            event_count=len(history),
            pair_topic=topic_row,
            pair_event=event,
            pair_share=share,
            times=local_seconds(np.array(times, dtype=np.float64), zone) if times and None not in times else None,
            situations=[getattr(item, "context", {}) for item in history],
            zone=zone,
        )

    def topic_counts(self, event_weights: Floats) -> Floats:
        """Count the events of each topic, each event with its weight.

        Args:
            event_weights: Shape (events,).

        Returns:
            Shape (topics,). The topics of one event share its weight.
        """
        weights = self.pair_share * event_weights[self.pair_event]
        counts = np.bincount(self.pair_topic, weights=weights, minlength=len(self.topic_names))
        return np.asarray(counts, dtype=np.float64)

    def topics_of(self, event: int) -> Ints:
        """Return the rows of one event's topics."""
        # Pairs are ordered by event, so the pairs of one event are neighbours.
        first, last = np.searchsorted(self.pair_event, [event, event + 1])
        return self.pair_topic[first:last]

    def events_with(self, topics: Mask) -> Mask:
        """Return which events have any topic of a mask over topics, shape (events,)."""
        return np.bincount(self.pair_event, weights=topics[self.pair_topic], minlength=self.event_count) > 0

    def recent_topics(self) -> Mask:
        """Return which topics the latest RECENT_EVENTS events have, shape (topics,)."""
        recent = np.zeros(len(self.topic_names), dtype=bool)
        recent[self.pair_topic[self.pair_event >= self.event_count - RECENT_EVENTS]] = True
        return recent

    def open_session(self, at: float | None) -> Mask:
        """Return which events belong to the session that is open at a moment, shape (events,).

        If times are unknown, the latest RECENT_EVENTS events count as the session.

        Args:
            at: The moment in Unix seconds, or None for the time of the last event.
        """
        if self.times is None:  # no gap can show where the session starts
            return np.arange(self.event_count) >= self.event_count - RECENT_EVENTS
        if not self.event_count:
            return np.zeros(0, dtype=bool)
        return np.arange(self.event_count) >= open_session_start(self.times, at=at)
