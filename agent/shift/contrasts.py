"""Count how often topics occur in a segment and outside it, and judge how well the difference is supported."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from whimbrel.agent.shift.segments import Segment
from whimbrel.agent.shift.topic_history import Floats, Ints, Mask, TopicHistory
from whimbrel.tools.log.sessions import session_numbers

LEAST_RATIO = 1.2
"""A topic differs if its proportion on one side is at least this multiple of its proportion on the other side. A
smaller difference, such as 8 of 10 sessions and 7 of 10, reads as none."""
LEAST_COUNT = 3
"""With fewer sessions (or events) that have them, topics are only named if nothing else differs. A single event of five
is an anecdote."""
Z_SCORE = 1.96
"""Differences are judged by the lower end of their 95% interval."""
MOST_JOINED, JOIN_GAIN = 3, 0.1
"""A contrast joins at most MOST_JOINED topics. Each topic after the first must raise the lower end of the difference by
JOIN_GAIN, because a single topic reads better."""

Numbers = float | Floats
Counts = int | Ints


@dataclass(frozen=True)
class Contrast:
    """How often some topics occur on the side where they are frequent (`here`) and on the other side (`there`).

    Attributes:
        rows: The rows of the topics. An event counts if it has any of them.
        rises: Whether the topics are frequent in the segment. Otherwise they are frequent outside.
        of_sessions: Whether sessions are counted. Otherwise events are.
        here: How many sessions (or events) have the topics, and how many there are.
        there: The same for the other side.
        support: The lower end of the interval of the difference between the two proportions. The difference is beyond
            doubt if this is greater than 0.
    """

    rows: tuple[int, ...]
    rises: bool
    of_sessions: bool
    here: tuple[int, int]
    there: tuple[int, int]
    support: float

    @property
    def difference(self) -> float:
        """How much larger the proportion is on the side of `here`."""
        return self.here[0] / self.here[1] - self.there[0] / self.there[1]

    @property
    def differs(self) -> bool:
        """Whether the proportion is clearly larger on the side of `here`."""
        return self.difference > 0 and self.difference >= (LEAST_RATIO - 1) * self.there[0] / self.there[1]


@dataclass(frozen=True)
class Contrasts:
    """Counts the topics of a history in a segment and outside it.

    Attributes:
        history: The user's events.
        segment: The segment.
        units: The number of each event's session, shape (events,). Without sessions, every event has its own number.
        of_sessions: Whether `units` are sessions.
    """

    history: TopicHistory
    segment: Segment
    units: Ints
    of_sessions: bool

    @classmethod
    def of(cls, history: TopicHistory, segment: Segment) -> "Contrasts":
        """Count sessions if the segment consists of sessions and times are known. Otherwise count events."""
        if history.times is None or segment.scope in {"session", "latest"}:
            return cls(history, segment, np.arange(history.event_count), False)
        return cls(history, segment, session_numbers(history.times), True)

    def of_topics(self, rows: Sequence[int], *, rises: bool) -> list[Contrast]:
        """Return a contrast for each topic that differs, the best supported first."""
        contrasts = (self._count((row,), rises=rises) for row in rows)
        return sorted((each for each in contrasts if each.differs), key=lambda each: -each.support)

    def best(self, single: Sequence[Contrast]) -> Contrast | None:
        """Return the most telling contrast: of a single topic, or of several that make the difference clearer.

        Args:
            single: What `of_topics` returned.
        """
        rows = [each.rows[0] for each in single[:MOST_JOINED]]
        joint = (
            self._count(some, rises=single[0].rises)
            for size in range(2, len(rows) + 1)
            for some in combinations(rows, size)
        )
        return max([*single[:1], *joint], key=lambda each: each.support - JOIN_GAIN * len(each.rows), default=None)

    def from_clearest_start(self, contrast: Contrast) -> "Contrasts":
        """Count a trend from that session on at which a contrast becomes clearest.

        A test compares a fixed number of latest sessions, but a story has to say since when. The trend gets at least
        half as many sessions as the test had, and at most twice as many.
        """
        has = self.events_with(contrast.rows)
        _, starts, lengths = np.unique(self.units, return_index=True, return_counts=True)
        shares: Floats = np.add.reduceat(has.astype(np.float64), starts) / lengths
        values = (shares > 0).astype(np.float64) if contrast.of_sessions else shares
        tested = int(self.units[-1] + 1 - self.units[self.segment.events][0])
        sizes = np.arange(max(tested // 2, LEAST_COUNT), min(2 * tested, len(starts) // 2) + 1)
        if not len(sizes):
            return self
        latest = values[::-1].cumsum()[sizes - 1]
        sides = [(latest / sizes, sizes), ((values.sum() - latest) / (len(starts) - sizes), len(starts) - sizes)]
        here, there = sides if contrast.rises else sides[::-1]
        support = _surest_difference(here[0], there[0], here[1], there[1])
        start = starts[-sizes[int(np.argmax(support))]]
        return replace(self, segment=replace(self.segment, events=np.arange(len(has)) >= start))

    def events_with(self, rows: Sequence[int]) -> Mask:
        """Return which events have any of the topics, shape (events,)."""
        topics = np.zeros(len(self.history.topic_names), dtype=bool)
        topics[list(rows)] = True
        return self.history.events_with(topics)

    def _count(self, rows: tuple[int, ...], *, rises: bool) -> Contrast:
        """Count events and, if there are any, sessions. Returns the contrast that is better supported."""
        has = self.events_with(rows)
        side = self.segment.events if rises else ~self.segment.events
        here, there = _Side.of(self.units[side], has[side]), _Side.of(self.units[~side], has[~side])
        sessions = here.of_sessions, there.of_sessions
        # A few long sessions must not decide, so the mean share of a session has to differ, too.
        support = min(
            float(_surest_difference(here.events / here.of_events, there.events / there.of_events, *sessions)),
            float(_surest_difference(here.session_share, there.session_share, *sessions)),
        )
        # An anecdote has less support than anything else, because no difference is below -1.
        anecdote = 2 * (here.events < LEAST_COUNT)
        counts = (here.events, here.of_events), (there.events, there.of_events)
        of_events = Contrast(rows, rises, False, *counts, support - anecdote)
        if not self.of_sessions:
            return of_events
        support = float(
            _surest_difference(here.sessions / here.of_sessions, there.sessions / there.of_sessions, *sessions)
        )
        anecdote = 2 * (here.sessions < LEAST_COUNT)
        counts = (here.sessions, here.of_sessions), (there.sessions, there.of_sessions)
        of_sessions = Contrast(rows, rises, True, *counts, support - anecdote)
        return max(of_sessions, of_events, key=lambda each: (each.differs, each.support))


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


def _surest_difference(here: Numbers, there: Numbers, count_here: Counts, count_there: Counts) -> Numbers:
    """Return the lower end of the interval of the difference between two proportions (Newcombe, 1998).

    Args:
        here: The proportion that should be larger.
        there: The other proportion.
        count_here: The number of sessions of `here`. A session is one observation, because its events are not
            independent.
        count_there: The number of sessions of `there`.
    """
    low, _ = _wilson(here, count_here)
    _, high = _wilson(there, count_there)
    return here - there - np.hypot(here - low, high - there)


def _wilson(proportion: Numbers, count: Counts) -> tuple[Numbers, Numbers]:
    """Return Wilson's interval of a proportion."""
    square = Z_SCORE * Z_SCORE
    middle = (proportion + square / (2 * count)) / (1 + square / count)
    spread = proportion * (1 - proportion) / count + square / (4 * count * count)
    half = Z_SCORE * spread**0.5 / (1 + square / count)
    return middle - half, middle + half
