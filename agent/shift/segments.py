"""The segments of a history that a change test compares with the rest, and their names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from whimbrel.agent.schema.results import ShiftKind
from whimbrel.agent.shift.topic_history import Floats, Mask, TopicHistory
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.timestamps import DAY_SECONDS, hour_of, is_weekend

NEAR_HOURS = 3
"""Events at most this number of hours apart are at the same time of the day."""
NEAR_DAYS, YEAR_DAYS = 30, 365.25
"""Events at most NEAR_DAYS days of the year apart are in the same season."""
SEASON_LOG_DAYS = 400
"""Seasons are tested only if the history spans more days than this. In a shorter history no season recurs."""
TEMPORAL_KEY = re.compile(r"time|hour|day|week|month|season|date|year|quarter", re.IGNORECASE)
"""Matches the keys of a situation that name a time. A shift with such a key is temporal. With any other key it is
situational."""

Scope = Literal["habit", "trend", "session", "latest"]
"""What a segment holds: a time or situation that recurs, the latest sessions, the open session, or the latest
events."""


@dataclass(frozen=True)
class Segment:
    """Some events of a history.

    Attributes:
        scope: What the segment holds.
        kind: The kind of shift that is named if the interest moves to this segment.
        events: All events of the segment, shape (events,). Some of them may be left out of a test.
        here: A habit's name within a sentence, such as `at weekends`. Empty for other segments.
        elsewhere: The name of the other events, such as `on working days`. Empty unless the segment is a habit.
    """

    scope: Scope
    kind: ShiftKind
    events: Mask
    here: str = ""
    elsewhere: str = ""

    @property
    def is_habit(self) -> bool:
        """Whether the segment recurs. A time of the day recurs. A trend or a session does not."""
        return self.scope == "habit"


def segments_at(
    history: TopicHistory, *, at: float | None, situation: Mapping[str, str], say: Phrases
) -> Iterator[Segment]:
    """Yield the habits that a moment may belong to: the events at its time, and those in its situation.

    Args:
        history: The user's events before the moment.
        at: The moment in Unix seconds. If it is None, no times are compared.
        situation: The situation at the moment, as keys and values.
        say: The phrases that name the segments.
    """
    if at is not None and history.times is not None:
        yield from _segments_in_time(history.times, at, say)
    for key, value in situation.items():
        values = [other.get(key) for other in history.situations]
        same = np.array([other == value for other in values], dtype=bool)
        others = {other for other in values if other != value}
        # If there is a single other value, its name says more than a negation.
        other = next(iter(others)) if len(others) == 1 else None
        yield Segment(
            "habit",
            "temporal" if TEMPORAL_KEY.search(key) else "situational",
            same,
            say.shift.in_situation.format(key=key, value=value),
            say.shift.in_other_situation.format(key=key, value=value)
            if other is None
            else say.shift.in_situation.format(key=key, value=other),
        )


def _segments_in_time(times: Floats, at: float, say: Phrases) -> Iterator[Segment]:
    """Yield the segments that share the hour, part of the week, weekday or season of a moment."""
    moment = np.array([at])
    when = datetime.fromtimestamp(at, tz=UTC)
    hours_apart = np.abs(hour_of(times) - when.hour)
    near_hour = np.minimum(hours_apart, 24 - hours_apart) <= NEAR_HOURS
    # The last hour is whole, so the segment ends when the hour after it begins.
    first, end = (when.hour - NEAR_HOURS) % 24, (when.hour + NEAR_HOURS) % 24 + 1
    hours = say.shift.hours.format(first=f"{first:02}:00", end=f"{end:02}:00")
    yield Segment("habit", "temporal", near_hour, hours, say.shift.other_hours)
    weekend = int(is_weekend(moment)[0])
    days, other_days = say.shift.days[weekend], say.shift.days[1 - weekend]
    yield Segment("habit", "temporal", is_weekend(times) == bool(weekend), days, other_days)
    weekday = np.asarray(times // DAY_SECONDS % 7 == at // DAY_SECONDS % 7)
    yield Segment("habit", "temporal", weekday, say.shift.weekdays[when.weekday()], say.shift.other_weekdays)
    if times[-1] - times[0] > SEASON_LOG_DAYS * DAY_SECONDS:
        days_apart = np.abs((times - at) / DAY_SECONDS % YEAR_DAYS)
        near = np.minimum(days_apart, YEAR_DAYS - days_apart) <= NEAR_DAYS
        yield Segment("habit", "temporal", near, say.shift.season, say.shift.other_seasons)
