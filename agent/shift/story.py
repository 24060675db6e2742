"""Tell a shift in words: the topics that differ most between a segment and the other events, and since when.

A contrast counts the sessions, or the events, that have some topics, once in the segment and once outside. The story
tells the contrast with the best supported difference, and then the best contrast of the other direction: what came
beside what went. All counts cover the whole history, so a reader can recount them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

import numpy as np

from whimbrel.agent.shift.change_tests import ChangeTest, falling_topics
from whimbrel.agent.shift.segments import Segment
from whimbrel.agent.shift.topic_history import Floats, Ints, Mask, TopicHistory
from whimbrel.prompts.phrases import Phrases
from whimbrel.prompts.shift_phrases import CountPhrases
from whimbrel.tools.log.sessions import session_numbers
from whimbrel.tools.timestamps import DAY_SECONDS, hour_of, is_weekend

MOST_FALLING = 8
"""The contrast is chosen among this number of topics that the interest leaves."""
LEAST_RATIO = 1.2
"""A topic differs if its proportion on one side is at least this multiple of its proportion on the other side. A
smaller difference, such as 8 of 10 sessions and 7 of 10, reads as none."""
Z_SCORE = 1.96
"""The differences are judged by the lower end of their 95% interval."""
MOST_JOINED, JOIN_GAIN = 3, 0.1
"""A contrast joins at most MOST_JOINED topics. Each topic after the first must raise the lower end of the difference by
JOIN_GAIN, because a single topic reads better."""
HABIT_SHARE, OTHERS_SHARE, HABIT_EVENTS = 0.9, 0.6, 5
"""A topic belongs to a part of the day or week if it has at least HABIT_SHARE of its events there, and the other topics
have at most OTHERS_SHARE of theirs. Both must have at least HABIT_EVENTS events."""
PART_HOURS = 6
"""Length of a part of the day, from midnight on: night, morning, afternoon and evening."""
LATE_DAYS = 31
"""If a habit begins more than this number of days after the history, the story gives its own first day."""


@dataclass(frozen=True)
class Story:
    """A shift in words.

    Attributes:
        sentences: One or two sentences, the most telling first.
        to_rows: The rows of the topics that the interest moves to. Those that the sentences name come first.
        from_rows: The rows of the topics that it leaves, in the same order.
    """

    sentences: tuple[str, ...]
    to_rows: tuple[int, ...]
    from_rows: tuple[int, ...]


@dataclass(frozen=True)
class _Contrast:
    """How often some topics occur on the side where they are frequent (`here`) and on the other side (`there`).

    Attributes:
        rows: The rows of the topics. An event counts if it has any of them.
        rises: Whether the topics are frequent in the segment. Otherwise they are frequent outside.
        counts: What is counted, in words: sessions or events.
        here: How many of these have the topics, and how many there are.
        there: The same for the other side.
        support: The lower end of the interval of the difference between the proportions.
    """

    rows: tuple[int, ...]
    rises: bool
    counts: CountPhrases
    here: tuple[int, int]
    there: tuple[int, int]
    support: float

    @property
    def differs(self) -> bool:
        """Whether the proportion is clearly larger on the side of `here`."""
        here, there = self.here[0] / self.here[1], self.there[0] / self.there[1]
        return here > 0 and here >= LEAST_RATIO * there


def tell_story(history: TopicHistory, change: ChangeTest, rows: Sequence[int], say: Phrases, *, most: int) -> Story:
    """Tell the story of a change.

    Args:
        history: The user's events before the moment.
        change: The change, with its segment.
        rows: The rows of the topics that the interest moves to.
        say: The phrases of the story.
        most: Most topics that are named on each side.
    """
    teller = _Teller.of(history, change.segment, say)
    rising = teller.ranked(rows, rises=True)
    falling = teller.ranked(falling_topics(change, most=MOST_FALLING), rises=False)
    chosen = [best for best in map(teller.joined, (rising, falling)) if best]
    # The story opens with what comes and goes on with what goes, if these differences are beyond doubt. If neither is,
    # only the surer contrast is told.
    told = [best for best in chosen if best.support > 0] or sorted(chosen, key=lambda best: -best.support)[:1]
    sentences = [teller.sentence(best, follows=number > 0) for number, best in enumerate(told)]
    named = [row for best in told for row in best.rows]
    to_rows, from_rows = (
        tuple(sorted((best.rows[0] for best in ranked), key=lambda row: row not in named))
        for ranked in (rising, falling)
    )
    return Story(
        sentences=tuple(sentences) or (say.shift.no_contrast,),
        to_rows=to_rows[:most] or tuple(rows)[:most],
        from_rows=from_rows[:most],
    )


@dataclass(frozen=True)
class _Teller:
    """Counts topics in and outside a segment, and words what it counts.

    Attributes:
        history: The user's events.
        segment: The segment of the story.
        units: The number of each event's session, shape (events,). Without sessions, every event has its own number.
        counts_sessions: Whether `units` are sessions.
        say: The phrases of the story.
    """

    history: TopicHistory
    segment: Segment
    units: Ints
    counts_sessions: bool
    say: Phrases

    @classmethod
    def of(cls, history: TopicHistory, segment: Segment, say: Phrases) -> "_Teller":
        """Count sessions if the segment consists of sessions and times are known."""
        if history.times is None or segment.scope in {"session", "latest"}:
            return cls(history, segment, np.arange(history.event_count), False, say)
        return cls(history, segment, session_numbers(history.times), True, say)

    def ranked(self, rows: Sequence[int], *, rises: bool) -> list[_Contrast]:
        """Return the contrasts of single topics that differ, the best supported first."""
        contrasts = (self._contrast((row,), rises=rises) for row in rows)
        return sorted((each for each in contrasts if each.differs), key=lambda each: -each.support)

    def joined(self, ranked: Sequence[_Contrast]) -> _Contrast | None:
        """Return the best contrast of one topic, or of several if that makes the difference clearer."""
        rows = [each.rows[0] for each in ranked[:MOST_JOINED]]
        joint = (
            self._contrast(some, rises=ranked[0].rises)
            for count in range(2, len(rows) + 1)
            for some in combinations(rows, count)
        )
        return max([*ranked[:1], *joint], key=lambda each: each.support - JOIN_GAIN * len(each.rows), default=None)

    def _contrast(self, rows: tuple[int, ...], *, rises: bool) -> _Contrast:
        """Count the events of some topics on both sides, and the sessions if there are any."""
        topics = np.zeros(len(self.history.topic_names), dtype=bool)
        topics[list(rows)] = True
        has = self.history.events_with(topics)
        here = self.segment.events if rises else ~self.segment.events
        sides = (_Side.of(self.units[here], has[here]), _Side.of(self.units[~here], has[~here]))
        of_events = _Contrast(
            rows,
            rises,
            self.say.shift.in_events,
            (sides[0].events, sides[0].of_events),
            (sides[1].events, sides[1].of_events),
            # A few long sessions must not decide, so the mean share of a session has to differ, too.
            min(
                _surest_difference(*sides, [side.events / side.of_events for side in sides]),
                _surest_difference(*sides, [side.session_share for side in sides]),
            ),
        )
        if not self.counts_sessions:
            return of_events
        of_sessions = _Contrast(
            rows,
            rises,
            self.say.shift.in_sessions,
            (sides[0].sessions, sides[0].of_sessions),
            (sides[1].sessions, sides[1].of_sessions),
            _surest_difference(*sides, [side.sessions / side.of_sessions for side in sides]),
        )
        return max(of_sessions, of_events, key=lambda each: (each.differs, each.support))

    def sentence(self, contrast: _Contrast, *, follows: bool) -> str:
        """Word a contrast. A sentence that follows another one leaves out the date."""
        here, there = self._places(rises=contrast.rises, follows=follows)
        topics = [self.history.topic_names[row] for row in contrast.rows]
        return self.say.shift.contrast.format(
            topics=self.say.shift.either.join(topics),
            habit=self._habit_of(contrast),
            here=here,
            now=_counted(contrast.counts, *contrast.here),
            last=self._last_day(contrast),
            there=there,
            then=_counted(contrast.counts, *contrast.there),
        )

    def _places(self, *, rises: bool, follows: bool) -> tuple[str, str]:
        """Return the names of the side where the topics are frequent, and of the other side."""
        say, segment, times = self.say.shift, self.segment, self.history.times
        if segment.is_habit:
            places = (self._habit_with_first_day(), segment.elsewhere)
            here, there = places if rises else places[::-1]
            if follows or times is None:
                return (say.instead if follows else say.so_far).format(where=here), there
            return say.habit_since.format(since=self._day(float(times[0])), where=here), there
        names = {"trend": say.trend, "session": say.session, "latest": say.latest}[segment.scope]
        since = "" if times is None else self._start(times)
        if rises:
            return (names.since_then if follows else names.since.format(since=since)), names.then_before
        return (names.before_that if follows else names.before.format(since=since)), names.then_since

    def _habit_with_first_day(self) -> str:
        """Name a habit. If it begins much later than the history, the name has its first day."""
        segment, times = self.segment, self.history.times
        if times is None or times[segment.events][0] - times[0] <= LATE_DAYS * DAY_SECONDS:
            return segment.here
        return self.say.shift.habit_first.format(where=segment.here, day=self._day(float(times[segment.events][0])))

    def _start(self, times: Floats) -> str:
        """Return when the segment starts: the day, with the hour if the day has other events before it."""
        start, before = times[self.segment.events][0], times[~self.segment.events][-1]
        if before // DAY_SECONDS < start // DAY_SECONDS:
            return self._day(float(start))
        return self.say.shift.at_hour.format(
            time=datetime.fromtimestamp(float(start), tz=UTC), day=self._day(float(start))
        )

    def _last_day(self, contrast: _Contrast) -> str:
        """Return when topics that a trend or a session ends occurred last. Empty if they still occur, or always do."""
        times = self.history.times
        if self.segment.is_habit or contrast.rises or contrast.there[0] or times is None:
            return ""
        last = float(times[self._events_of(contrast.rows)][-1])
        # On the day on which the segment starts, the day would not tell the two sides apart.
        if last // DAY_SECONDS == times[self.segment.events][0] // DAY_SECONDS:
            return ""
        return self.say.shift.last_on.format(day=self._day(last))

    def _habit_of(self, contrast: _Contrast) -> str:
        """Return the part of the day or week that the topics belong to. Empty for habits, whose name says it."""
        times = self.history.times
        if self.segment.scope != "trend" or times is None:
            return ""
        has = self._events_of(contrast.rows)
        if min(has.sum(), (~has).sum()) < HABIT_EVENTS:
            return ""
        for part, name in self._parts_of_time(times):
            if part[has].mean() >= HABIT_SHARE and part[~has].mean() <= OTHERS_SHARE:
                return self.say.shift.mostly.format(when=name)
        return ""

    def _parts_of_time(self, times: Floats) -> Iterator[tuple[Mask, str]]:
        """Yield the parts of the day, then those of the week, each with its name."""
        part = hour_of(times) // PART_HOURS
        yield from ((part == number, name) for number, name in enumerate(self.say.shift.day_parts))
        weekend = is_weekend(times)
        yield from ((weekend == bool(number), name) for number, name in enumerate(self.say.shift.days))

    def _events_of(self, rows: Sequence[int]) -> Mask:
        topics = np.zeros(len(self.history.topic_names), dtype=bool)
        topics[list(rows)] = True
        return self.history.events_with(topics)

    def _day(self, time: float) -> str:
        return self.say.writing.date.format(time=datetime.fromtimestamp(time, tz=UTC))


@dataclass(frozen=True)
class _Side:
    """The events of one side: how many have some topics, how many sessions do, and the mean share in a session."""

    events: int
    of_events: int
    sessions: int
    of_sessions: int
    session_share: float

    @classmethod
    def of(cls, units: Ints, has: Mask) -> "_Side":
        """Count the events of a side.

        Args:
            units: The session number of each event in ascending order.
            has: Whether each event has the topics.
        """
        starts = np.flatnonzero(np.append(True, units[1:] != units[:-1]))
        counts = np.add.reduceat(has.astype(np.int64), starts)
        lengths = np.diff(np.append(starts, len(units)))
        return cls(
            events=int(has.sum()),
            of_events=len(units),
            sessions=int((counts > 0).sum()),
            of_sessions=len(starts),
            session_share=float((counts / lengths).mean()),
        )


def _surest_difference(here: _Side, there: _Side, proportions: Sequence[float]) -> float:
    """Return the lower end of the interval of the difference between two sides' proportions (Newcombe, 1998).

    Each session counts as one observation, because its events are not independent.
    """
    low, _ = _wilson(proportions[0], here.of_sessions)
    _, high = _wilson(proportions[1], there.of_sessions)
    return proportions[0] - proportions[1] - float(np.hypot(proportions[0] - low, high - proportions[1]))


def _wilson(proportion: float, count: int) -> tuple[float, float]:
    """Return Wilson's interval of a proportion."""
    square = Z_SCORE * Z_SCORE
    middle = (proportion + square / (2 * count)) / (1 + square / count)
    spread = proportion * (1 - proportion) / count + square / (4 * count * count)
    half = Z_SCORE * spread**0.5 / (1 + square / count)
    return middle - half, middle + half


def _counted(counts: CountPhrases, count: int, of: int) -> str:
    """Word how many of several sessions or events: all, none or some."""
    if count == 0:
        words = counts.none
    elif count == of:
        words = {1: counts.only, 2: counts.both}.get(of, counts.all)
    else:
        words = counts.some
    return words.format(count=f"{count:,}", of=f"{of:,}")
