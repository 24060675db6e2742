"""What a log tells of its items at a moment, the same for every user."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints

RECENT_SHARE, LEAST_RECENT_EVENTS = 0.02, 1000
"""The latest RECENT_SHARE of the events are the recent ones, but at least LEAST_RECENT_EVENTS events."""


class MomentCounts:
    """Counts of the events earlier than `before`. Each array has the shape (items,) and cannot be changed."""

    def __init__(self, log: InteractionLog, before: float) -> None:
        self._log, self.before = log, before

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Whether each item has appeared."""
        return _fixed(self._log.known(before=self.before))

    @cached_property
    def users(self) -> Ints:
        """Number of distinct users of each item."""
        return self._log.users_per_item(before=self.before)

    def shown(self, min_people: int) -> NDArray[np.bool_]:
        """Return whether each item may be shown to people who did not meet it.

        An item that somebody met, but fewer people than `min_people`, may tell who that is. The array is a copy.
        """
        shown: NDArray[np.bool_] = self.known & ((self.users == 0) | (self.users >= min_people))
        return shown

    @cached_property
    def popularity(self) -> Ints:
        """Number of events of each item."""
        return self._log.popularity(before=self.before)

    @cached_property
    def recent_popularity(self) -> Ints:
        """Number of recent events of each item."""
        stop = int(np.searchsorted(self._log.time, self.before))
        start = max(stop - max(int(stop * RECENT_SHARE), LEAST_RECENT_EVENTS), 0)
        return _fixed(np.bincount(self._log.item[start:stop], minlength=len(self._log.item_ids)))

    @cached_property
    def interest(self) -> Floats:
        """Logarithm of the number of events of each item. Recent ones count twice."""
        return _fixed(np.log1p(self.popularity + self.recent_popularity))

    @cached_property
    def rare(self) -> NDArray[np.bool_]:
        """Whether each item has no more events than half of the items that have appeared."""
        known = self.popularity[self.known]
        return _fixed(self.popularity <= (np.median(known) if len(known) else 0))

    @cached_property
    def rise(self) -> Floats:
        """Share of each item in the recent events over its share in all events.

        It is multiplied by the square root of the recent events, since a rise from one event to two is mostly chance.
        It is 0 for an item with fewer than two recent events.
        """
        recent = self.recent_popularity / max(self.recent_popularity.sum(), 1)
        always = self.popularity / max(self.popularity.sum(), 1)
        rise = recent / np.maximum(always, 1e-12) * np.sqrt(self.recent_popularity)
        return _fixed(np.where(self.recent_popularity > 1, rise, 0.0))

    @cached_property
    def age(self) -> Floats:
        """log(1 + 1000 a), where a is the time since the item appeared, divided by the duration of the log.

        The time is counted to the last event. It is NaN if it is unknown when the item appeared.
        """
        log = self._log
        stop = int(np.searchsorted(log.time, self.before))
        if not stop:
            return _fixed(np.full(len(log.item_ids), np.nan))
        end, start = log.time[stop - 1], log.time[0]
        age = (end - log.appeared) / max(end - start, 1e-9)
        # An item may appear between the last event and the moment. Its age is then 0, not negative.
        return _fixed(np.where(np.isfinite(age) & self.known, np.log1p(1000 * np.maximum(age, 0.0)), np.nan))

    @cached_property
    def topic_items(self) -> Mapping[str, int]:
        """Number of items that have appeared, keyed by topic."""
        topics, _ = self._log.topics_of(np.flatnonzero(self.known))
        counts = np.bincount(topics, minlength=len(self._log.topics))
        return dict(zip(self._log.topics, counts.tolist(), strict=True))

    @cached_property
    def topic_users(self) -> Mapping[str, int]:
        """The most users of one item, keyed by topic."""
        topics, position = self._log.topics_of(np.arange(len(self._log.item_ids)))
        most = np.zeros(len(self._log.topics), dtype=np.int64)
        np.maximum.at(most, topics, self.users[position])
        return dict(zip(self._log.topics, most.tolist(), strict=True))

    @cached_property
    def people(self) -> int:
        """Number of users with events."""
        return int(np.count_nonzero(self._log.items_per_user(before=self.before)))


def counts_before(log: InteractionLog, moment: float) -> MomentCounts:
    """Return the counts of the events before a moment, in Unix seconds.

    The counts of the last moment are kept with the log, since many requests ask about now.
    """
    moment = np.inf if moment > log.latest else moment  # nothing changes after it
    kept = log.computed.get(MomentCounts)
    if kept is None or kept.before != moment:
        kept = log.computed[MomentCounts] = MomentCounts(log, moment)
    return kept


def _fixed(values: NDArray[Any]) -> NDArray[Any]:
    """Forbid changes of an array, which other requests read too."""
    values.flags.writeable = False
    return values
