"""Tell a shift in words: which topics came and which went, since when, and in how many sessions.

A story has up to two sentences. The first tells the clearest difference among the topics that the interest moves to.
The second tells the clearest among those that it leaves. All counts cover the whole history, so a reader can recount
them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from whimbrel.agent.shift.change_tests import ChangeTest, falling_topics
from whimbrel.agent.shift.contrasts import Contrast, Contrasts
from whimbrel.agent.shift.topic_history import Floats, Mask, TopicHistory
from whimbrel.prompts.phrases import Phrases
from whimbrel.prompts.shift_phrases import CountPhrases
from whimbrel.tools.timestamps import DAY_SECONDS, hour_of, is_weekend

MOST_FALLING = 8
"""The second sentence is about some of this number of topics that the interest leaves."""
LEAST_DIFFERENCE = 0.1
"""A smaller difference in what comes is left out, if what goes is beyond doubt."""
USUAL_SHARE, OTHERS_SHARE, LEAST_SESSIONS = 0.9, 0.6, 5
"""Topics belong to a part of the day or week if at least USUAL_SHARE of their events lie there, but at most
OTHERS_SHARE of the events on the other side. Both need at least LEAST_SESSIONS sessions."""
PART_HOURS = 6
"""Length of a part of the day: night, morning, afternoon and evening."""
LATE_DAYS = 31
"""If a habit begins more than this number of days after the history, its own first day is told."""


_SIGNS = re.compile(r"[,;:.，；：、。]")


@dataclass(frozen=True)
class Story:
    """A shift in words.

    Attributes:
        sentences: One or two sentences.
        to_rows: The rows of the topics that the interest moves to. Those that a sentence names come first.
        from_rows: The rows of the topics that it leaves, in the same order.
    """

    sentences: tuple[str, ...]
    to_rows: tuple[int, ...]
    from_rows: tuple[int, ...]


def tell_story(history: TopicHistory, change: ChangeTest, rows: Sequence[int], say: Phrases, *, most: int) -> Story:
    """Tell the story of a change.

    Args:
        history: The user's events before the moment.
        change: The change, with its segment.
        rows: The rows of the topics that the interest moves to. Topics that are as frequent outside the segment are
            left out, unless all of them are.
        say: The phrases of the story.
        most: Most topics on each side.
    """
    falls = falling_topics(change, most=MOST_FALLING)
    contrasts = Contrasts.of(history, change.segment)
    rising, falling = contrasts.of_topics(rows, rises=True), contrasts.of_topics(falls, rises=False)
    clearest = contrasts.best(rising) or contrasts.best(falling)
    if change.segment.scope == "trend" and clearest:
        contrasts = contrasts.from_clearest_start(clearest)
        rising, falling = contrasts.of_topics(rows, rises=True), contrasts.of_topics(falls, rises=False)
    comes, goes = contrasts.best(rising), contrasts.best(falling)
    shown = [contrast for contrast in (comes, goes) if contrast]
    # What goes is only named if it is beyond doubt. What comes is only left out if it is next to nothing.
    if comes and goes:
        if goes.support <= 0:
            shown = [comes]
        elif comes.difference < LEAST_DIFFERENCE:
            shown = [goes]
    teller = _Teller(contrasts, say)
    sentences = [teller.sentence(contrast, follows=number > 0) for number, contrast in enumerate(shown)]
    named = [row for contrast in shown for row in contrast.rows]
    to_rows, from_rows = (
        sorted((contrast.rows[0] for contrast in side), key=lambda row: row not in named)[:most]
        for side in (rising, falling)
    )
    return Story(
        sentences=tuple(sentences) or (say.shift.no_contrast,),
        to_rows=tuple(to_rows or rows[:most]),
        from_rows=tuple(from_rows),
    )


@dataclass(frozen=True)
class _Teller:
    """Words contrasts."""

    contrasts: Contrasts
    say: Phrases

    def sentence(self, contrast: Contrast, *, follows: bool) -> str:
        """Word a contrast.

        Args:
            contrast: The contrast.
            follows: Whether another sentence about the same segment precedes. Then the date is left out.
        """
        say, latest = self.say.shift, self.contrasts.segment.scope == "latest"
        counted = say.in_sessions if contrast.of_sessions else say.in_events
        # The name of the latest events already says how many there are.
        in_here, in_there = counted, counted
        if latest:
            in_here, in_there = (say.in_them, counted) if contrast.rises else (counted, say.in_them)
        here, there = self._places(rises=contrast.rises, follows=follows)
        names = [self._name(row) for row in contrast.rows]
        return say.contrast.format(
            topics=say.either.join(filter(None, [self.say.writing.comma.join(names[:-1]), names[-1]])),
            habit=self._part_of_time(contrast),
            here=here,
            now=_counted(in_here, *contrast.here),
            last=self._last_day(contrast),
            there=there,
            then=_counted(in_there, *contrast.there),
        )

    def _name(self, row: int) -> str:
        """Return the name of a topic, in quotes if its signs could be read as part of the sentence."""
        name = self.contrasts.history.topic_names[row]
        return self.say.writing.title.format(title=name) if _SIGNS.search(name) else name

    def _places(self, *, rises: bool, follows: bool) -> tuple[str, str]:
        """Return the names of the side where the topics are frequent, and of the other side."""
        say, segment, times = self.say.shift, self.contrasts.segment, self.contrasts.history.times
        if segment.scope == "habit":
            places = (segment.here if follows else self._habit(), segment.elsewhere)
            here, there = places if rises else places[::-1]
            if follows:
                return say.instead.format(where=here), there
            if times is None:
                return say.so_far.format(where=here), there
            return say.habit_since.format(where=here, since=self._day(times[0])), there
        names = {"trend": say.trend, "session": say.session, "latest": say.latest}[segment.scope]
        values = {"count": f"{segment.events.sum():,}", "since": "" if times is None else self._start(times)}
        here, there = (
            (names.since_then if follows else names.since, names.then_before)
            if rises
            else (names.before_that if follows else names.before, names.then_since)
        )
        return here.format(**values), there.format(**values)

    def _habit(self) -> str:
        """Name a habit. If it begins much later than the history, its first day is added."""
        segment, times = self.contrasts.segment, self.contrasts.history.times
        if times is None or times[segment.events][0] - times[0] <= LATE_DAYS * DAY_SECONDS:
            return segment.here
        return self.say.shift.habit_first.format(where=segment.here, day=self._day(times[segment.events][0]))

    def _start(self, times: Floats) -> str:
        """Return when the segment starts: the day, and the hour if other events of the day lie before it."""
        segment = self.contrasts.segment
        start, before = times[segment.events][0], times[~segment.events][-1]
        if before // DAY_SECONDS < start // DAY_SECONDS:
            return self._day(start)
        return self.say.shift.at_hour.format(time=datetime.fromtimestamp(float(start), tz=UTC), day=self._day(start))

    def _last_day(self, contrast: Contrast) -> str:
        """Return the last day of topics that a trend or a session ended. Empty if they still occur."""
        segment, times = self.contrasts.segment, self.contrasts.history.times
        if times is None or segment.scope == "habit" or contrast.rises or contrast.there[0]:
            return ""
        last = times[self.contrasts.events_with(contrast.rows)][-1]
        # If the segment starts on the same day, the day would not separate the two.
        if last // DAY_SECONDS == times[segment.events][0] // DAY_SECONDS:
            return ""
        return self.say.shift.last_on.format(day=self._day(last))

    def _part_of_time(self, contrast: Contrast) -> str:
        """Return the part of the day or week that the topics of a trend belong to. Empty if there is none."""
        times = self.contrasts.history.times
        if times is None or self.contrasts.segment.scope != "trend":  # the name of a habit already says its time
            return ""
        has = self.contrasts.events_with(contrast.rows)
        others = self.contrasts.segment.events != contrast.rises
        units = self.contrasts.units
        if min(len(np.unique(units[has])), len(np.unique(units[others]))) < LEAST_SESSIONS:
            return ""
        for part, name in self._parts_of_time(times):
            if part[has].mean() >= USUAL_SHARE and part[others].mean() <= OTHERS_SHARE:
                return self.say.shift.mostly.format(when=name)
        return ""

    def _parts_of_time(self, times: Floats) -> Iterator[tuple[Mask, str]]:
        """Yield the parts of the day, then those of the week, each with its name."""
        part, weekend = hour_of(times) // PART_HOURS, is_weekend(times)
        yield from ((part == number, name) for number, name in enumerate(self.say.shift.day_parts))
        yield from ((weekend == bool(number), name) for number, name in enumerate(self.say.shift.days))

    def _day(self, time: float) -> str:
        return self.say.writing.date.format(time=datetime.fromtimestamp(float(time), tz=UTC))


def _counted(counts: CountPhrases, count: int, of: int) -> str:
    """Word how many of several sessions or events: all, none or some."""
    if count == 0:
        words = counts.none
    elif count == of:
        words = {1: counts.only, 2: counts.both}.get(of, counts.all)
    else:
        words = counts.some
    return words.format(count=f"{count:,}", of=f"{of:,}")
