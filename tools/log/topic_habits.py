"""Topic habits of all users: how often each topic occurs, at which hours, in which situations, after which topic."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.timestamps import hour_of, is_weekend, local_seconds

MOST_COUNTED_TOPICS = 1000
"""Only this many topics are counted, the most frequent ones. `next_topic` has a cell for each pair of them."""
MOST_SITUATIONS = 200
"""Only this many values of situations are counted, the most frequent ones."""
RECENT_SHARE = 1 / 16
"""The recent events are the last ones before the moment, this share of all earlier events."""
TOPICS_IN_SEQUENCE = 4
"""Only the first topics of an event, this many, count in `next_topic`: two events have up to 16 pairs of topics."""
KEPT_BITS = 5
"""The number of counted events is rounded down to this many leading binary digits."""


@dataclass(frozen=True)
class TopicHabits:
    """Counts of topics in the events of all users before a moment. The topics of one event share a count of 1.

    Attributes:
        topics: Names of the counted topics, in alphabetical order.
        totals: Counts over all events, shape (topics,).
        recent: Counts over the last RECENT_SHARE of the events, shape (topics,).
        hours: Counts for each hour of the day, shape (24, topics).
        weekend: Counts on working days and at weekends, shape (2, topics).
        situations: Counts of shape (topics,), keyed by a situation's key and value.
        next_topic: How often a topic directly followed another in a user's events, shape (earlier topics, later
            topics). All pairs of topics of two events share a count of 1.
        zone: The zone of the hours and weekends.
    """

    topics: tuple[str, ...]
    totals: Floats
    recent: Floats
    hours: Floats
    weekend: Floats
    situations: Mapping[tuple[str, str], Floats]
    next_topic: NDArray[np.float32]
    zone: tzinfo = UTC

    @cached_property
    def position(self) -> dict[str, int]:
        """The position of each topic, keyed by name."""
        return {topic: row for row, topic in enumerate(self.topics)}

    @classmethod
    def of(cls, log: InteractionLog, *, before: float, zone: tzinfo = UTC) -> Self:
        """Count the topics of a log's events earlier than `before`. Hours and weekends are those of a zone."""
        stop = int(np.searchsorted(log.time, before))
        first_recent = stop - max(int(stop * RECENT_SHARE), 1)
        topic_row, event = log.topics_of(log.item[:stop])
        rows, column = log.frequent_topics(topic_row, MOST_COUNTED_TOPICS)
        counted = column[topic_row] >= 0
        topic, event = column[topic_row[counted]], event[counted]
        # Rare topics were removed above, so the remaining topics of an event share its whole count of 1.
        share = 1.0 / np.bincount(event, minlength=stop)[event]
        width = len(rows)
        time = local_seconds(log.time[:stop], zone)
        recent = event >= first_recent
        return cls(
            topics=tuple(log.topics[row] for row in rows),
            totals=_sums(topic, share, width),
            recent=_sums(topic[recent], share[recent], width),
            hours=_sums_by_group(hour_of(time)[event], topic, share, (24, width)),
            weekend=_sums_by_group(is_weekend(time)[event].astype(np.int64), topic, share, (2, width)),
            situations=_count_by_situation(log, topic, event, share, width),
            next_topic=_count_sequences(log.user[:stop], topic, event, width),
            zone=zone,
        )


class TopicHabitsOverTime:
    """The topic habits of a log at any moment. Nearby moments share the same counts.

    To share counts, the number of events before a moment is rounded down to its first KEPT_BITS binary digits. Only the
    events before the moment decide this number, so later events do not change the answer.
    """

    def __init__(self, log: InteractionLog, zone: tzinfo = UTC) -> None:
        """Prepare the habits of a log. Nothing is counted yet. Hours and weekends are those of a zone."""
        self._log = log
        self._zone = zone
        self._habits_by_event_count: dict[int, TopicHabits] = {}

    def before(self, moment: float) -> TopicHabits:
        """Return the habits before a moment. At most the last sixteenth of the earlier events is left out."""
        event_count = int(np.searchsorted(self._log.time, moment))
        step = 1 << max(event_count.bit_length() - KEPT_BITS, 0)
        end = event_count // step * step
        if end not in self._habits_by_event_count:
            whole = end == len(self._log.time)
            before = np.inf if whole else float(self._log.time[end])
            self._habits_by_event_count[end] = TopicHabits.of(self._log, before=before, zone=self._zone)
        return self._habits_by_event_count[end]


def _sums(positions: Ints, weights: Floats, length: int) -> Floats:
    """Add up the weights of each position, shape (length,)."""
    return np.asarray(np.bincount(positions, weights=weights, minlength=length), dtype=np.float64)


def _sums_by_group(group: Ints, topic: Ints, share: Floats, shape: tuple[int, int]) -> Floats:
    """Add up the shares of each topic in each group, shape (groups, topics)."""
    groups, width = shape
    return _sums(group * width + topic, share, groups * width).reshape(groups, width)


def _count_by_situation(
    log: InteractionLog, topic: Ints, event: Ints, share: Floats, width: int
) -> dict[tuple[str, str], Floats]:
    """Count the topics for each of the most frequent values of the situation."""
    if not any(log.situations):
        return {}
    code = log.situation[event]
    event_topics = np.bincount(code, minlength=len(log.situations))
    situations: list[dict[str, str]] = [json.loads(text) if text else {} for text in log.situations]
    frequency: Counter[tuple[str, str]] = Counter()
    for situation, count in zip(situations, event_topics.tolist(), strict=True):
        frequency.update(dict.fromkeys(situation.items(), count))
    by_frequency = sorted(frequency.items(), key=lambda entry: (-entry[1], entry[0]))
    kept = [pair for pair, count in by_frequency if count][:MOST_SITUATIONS]
    counts: dict[tuple[str, str], Floats] = {}
    # An event has at most one value per key, so all values of a key are counted in one pass.
    for key in {key for key, _ in kept}:
        pairs = [pair for pair in kept if pair[0] == key]
        value_rows = {value: row for row, (_, value) in enumerate(pairs)}
        row_of_code = np.array([value_rows.get(situation.get(key, ""), -1) for situation in situations], dtype=np.int64)
        known = row_of_code[code] >= 0
        of_values = _sums_by_group(row_of_code[code[known]], topic[known], share[known], (len(pairs), width))
        counts.update(zip(pairs, of_values, strict=True))
    return counts


def _count_sequences(user: Ints, topic: Ints, event: Ints, width: int) -> NDArray[np.float32]:
    """Count how often a topic followed another (see `TopicHabits.next_topic`).

    Args:
        user: The user of each event, in order of time.
        topic: The topics of all events, event by event.
        event: The event of each topic.
        width: The number of topics.
    """
    first = np.searchsorted(event, np.arange(len(user)))
    topic_count = np.minimum(np.append(first[1:], len(event)) - first, TOPICS_IN_SEQUENCE)
    # A stable sort by user keeps the order of time. Two neighbours of the same user are then consecutive events.
    order = np.argsort(user, kind="stable")
    same_user = user[order[1:]] == user[order[:-1]]
    earlier, later = order[:-1][same_user], order[1:][same_user]
    pair_count = topic_count[earlier] * topic_count[later]
    neighbours = np.repeat(np.arange(len(pair_count)), pair_count)
    # The topic pairs of two events are numbered. Divided by the number of later topics, a number gives the earlier
    # topic as its quotient and the later topic as its remainder.
    number = np.arange(len(neighbours)) - np.repeat(np.cumsum(pair_count) - pair_count, pair_count)
    later_topics = np.maximum(topic_count[later[neighbours]], 1)
    earlier_topic = topic[first[earlier[neighbours]] + number // later_topics]
    later_topic = topic[first[later[neighbours]] + number % later_topics]
    shares = 1.0 / np.maximum(pair_count[neighbours], 1)
    return _sums_by_group(earlier_topic, later_topic, shares, (width, width)).astype(np.float32)
