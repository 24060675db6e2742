"""Stretches of a history that differ from the rest of it by more than chance: the latest events, those at this time of
day or week, those in this situation.

Each is tested against comparable stretches of the same history, as many tests as are made being accounted for
(Bonferroni). TopicHabits are tested over sessions, the current one left out: what a session does now is no habit yet.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.profile.summarise import recent_count
from whimbrel.agent.schema.results import ShiftKind
from whimbrel.agent.shift.next_topics import RECENT, Person
from whimbrel.prompts.phrases import Wording
from whimbrel.tools.log.sessions import session_numbers, session_starts
from whimbrel.tools.timestamps import DAY_SECONDS, hour_of, is_weekend

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_STRETCHES = 8
"""Comparable stretches, or sessions, without which nothing can be said."""
LEAST_EVENTS = 4
"""Events that a habit or a situation must have, within and without."""
PERMUTATIONS = 499
MOST_SESSIONS = 400
"""Latest sessions over which a habit is tested."""
MOST_TESTED = 60
"""Topics that a test tells apart."""
USUAL = 0.6
"""Share of the sessions from which on a state is the usual one: who was in it last, and is in it now, does not move."""
NEAR_HOURS = 3
SEASON_DAYS = 400
"""Days that a log must span for a season to come again."""
TEMPORAL_KEY = re.compile(r"time|hour|day|week|month|season|date|year|quarter", re.IGNORECASE)
"""In keys of a context that tell of time: a shift with one of them is temporal, with any other one situational."""


@dataclass(frozen=True)
class Stretch:
    """Events (`inside`) that may differ from `outside`, in words, and the chance that they differ so much by chance.

    `within` and `without` are the shares of topics there, shape (topics,); `strength` is how many standard deviations
    the difference stands out; `moves` tells whether the interest would have to move to be there. `sessions` counts
    those inside and the others."""

    kind: ShiftKind
    inside: Mask
    within: Floats
    without: Floats
    p: float
    strength: float
    habit: bool
    moves: bool
    sessions: tuple[int, int] = (0, 0)
    words: str = ""
    others: str = ""


def stretches_of(person: Person, *, at: float | None, situation: Mapping[str, str], say: Wording) -> list[Stretch]:
    """All stretches that can be tested, the most telling first; `p` accounts for how many they are."""
    session = person.session(at)
    found = [*_session(person, session, say), *_in_sessions(person, session, at, situation, say)]
    return sorted(
        (replace(one, p=min(1.0, one.p * len(found))) for one in found), key=lambda one: (one.p, -one.strength)
    )


def _in_sessions(
    person: Person, session: Mask, at: float | None, situation: Mapping[str, str], say: Wording
) -> Iterator[Stretch]:
    """Trends and habits, both of the sessions before the one under way."""
    compared = _Sessions.of(person, ~session if person.time is not None else np.ones(person.events, dtype=bool))
    if compared is None:
        return
    if person.time is not None:
        yield from compared.trends(person, say)
    tests: list[tuple[Mask, ShiftKind, str]] = []
    if at is not None and person.time is not None:
        moment = np.array([at])
        apart = np.abs(hour_of(person.time) - hour_of(moment))
        when = datetime.fromtimestamp(at, tz=UTC)
        weekday = np.asarray(person.time // DAY_SECONDS % 7 == at // DAY_SECONDS % 7)
        tests += [
            (np.minimum(apart, 24 - apart) <= NEAR_HOURS, "temporal", say.near_hour.format(hour=f"{when:%H:%M}")),
            (is_weekend(person.time) == is_weekend(moment), "temporal", say.days[int(is_weekend(moment)[0])]),
            (weekday, "temporal", say.weekdays[when.weekday()]),
        ]
        if person.time[-1] - person.time[0] > SEASON_DAYS * DAY_SECONDS:
            apart = np.abs((person.time - at) / DAY_SECONDS % 365.25)
            tests.append((np.minimum(apart, 365.25 - apart) <= 30, "temporal", say.season))
    for key, value in situation.items():
        same = np.array([other.get(key) == value for other in person.situations], dtype=bool)
        kind: ShiftKind = "temporal" if TEMPORAL_KEY.search(key) else "situational"
        tests.append((same, kind, say.in_situation.format(key=key, value=value)))
    for inside, kind, which in tests:
        stretch = compared.test(person, inside, kind)
        if stretch:
            count, others = stretch.sessions
            yield replace(
                stretch,
                words=say.sessions.format(count=count, which=which),
                others=say.other_sessions.format(count=others),
            )


@dataclass(frozen=True)
class _Sessions:
    """The session that each earlier event belongs to, -1 for the others, shape (events,)."""

    of_event: NDArray[np.int64]

    @classmethod
    def of(cls, person: Person, earlier: Mask) -> "_Sessions | None":
        """None where there are too few."""
        events = np.flatnonzero(earlier)
        if len(events) < 2 * LEAST_EVENTS:
            return None
        if person.time is None:
            number = np.arange(len(events))
        else:
            number = session_numbers(person.time[events])
        first = max(int(number[-1]) - MOST_SESSIONS + 1, 0)
        of_event = np.full(person.events, -1, dtype=np.int64)
        of_event[events] = number - first
        of_event[of_event < 0] = -1
        if number[-1] + 1 < LEAST_STRETCHES:
            return None
        return cls(of_event)

    def trends(self, person: Person, say: Wording) -> Iterator[Stretch]:
        """The latest sessions that hold the short term, and those that hold half of it."""
        known = np.flatnonzero(self.of_event >= 0)
        size = recent_count(len(known))
        for width in dict.fromkeys((size, max(size // 2, 2))):
            inside = self.of_event >= self.of_event[known[-width]] if width < len(known) else self.of_event >= 0
            stretch = self.test(person, inside, "temporal")
            if stretch:
                count, others = stretch.sessions
                yield replace(
                    stretch,
                    words=say.last_sessions.format(count=count),
                    others=say.sessions_before.format(count=others),
                    habit=False,
                    moves=True,
                )

    def test(self, person: Person, inside: Mask, kind: ShiftKind) -> Stretch | None:
        """Sessions inside against those outside, and against as many drawn at random. A session that is partly inside
        is cut where it is."""
        known = self.of_event >= 0
        inside = inside & known
        if min(inside.sum(), (known & ~inside).sum()) < LEAST_EVENTS:
            return None
        _, piece = np.unique(self.of_event[known] * 2 + inside[known], return_inverse=True)
        part = np.full(person.events, -1, dtype=np.int64)
        part[known] = piece
        pieces = int(piece.max()) + 1
        member = np.zeros(pieces, dtype=bool)
        member[piece] = inside[known]
        size = int(member.sum())
        if pieces < LEAST_STRETCHES or not 2 <= size <= pieces - 2:
            return None
        told = part[person.event] >= 0
        topic, where = person.topic[told], part[person.event[told]]
        weight = person.share[told] / np.bincount(piece)[where]
        column, columns = _columns(topic)
        counts = np.bincount(where * columns + column, weights=weight, minlength=pieces * columns)
        counts = counts.reshape(pieces, columns)
        random = np.random.default_rng(0)
        draws = np.stack([member, *(random.permutation(member) for _ in range(PERMUTATIONS))]).astype(np.float64)
        drawn = draws @ counts
        total = counts.sum(axis=0)
        divergence = _divergence(drawn, total - drawn)
        here, size_of_all = member[where], len(person.names)
        within = _shares(np.bincount(topic[here], weights=weight[here], minlength=size_of_all))
        without = _shares(np.bincount(topic[~here], weights=weight[~here], minlength=size_of_all))
        last = bool(inside[np.flatnonzero(known)[-1]])
        return Stretch(
            kind=kind,
            inside=inside,
            within=within,
            without=without,
            p=float((divergence >= divergence[0] - 1e-12).mean()),
            strength=float((divergence[0] - divergence[1:].mean()) / max(divergence[1:].std(), 1e-9)),
            habit=True,
            moves=not last or size <= USUAL * pieces,
            sessions=(size, pieces - size),
        )


def _session(person: Person, session: Mask, say: Wording) -> Iterator[Stretch]:
    """The session under way against equally long stretches of the past; where no times are known, or it is most of
    what is known, its latest events."""
    width = int(session.sum())
    whole = person.time is None or 2 * width >= person.events
    widths = [RECENT, recent_count(person.events)] if whole else [width]
    for width in dict.fromkeys(widths):
        if 2 <= width < person.events / 2:
            stretch = _ending(person, width, say)
            if stretch:
                yield stretch


def _ending(person: Person, width: int, say: Wording) -> Stretch | None:
    starts = _starts(person, width)
    if len(starts) < LEAST_STRETCHES:
        return None
    column, columns = _columns(person.topic)
    per_event = np.zeros((person.events + 1, columns))
    np.add.at(per_event, (person.event + 1, column), person.share)
    running = per_event.cumsum(axis=0)
    total, latest = running[-1], running[-1] - running[person.events - width]
    past = running[starts + width] - running[starts]
    observed = float(_divergence(latest[None], (total - latest)[None])[0])
    comparable = _divergence(past, total - past - latest)
    p, strength = _exceeds(observed, comparable)
    inside = np.arange(person.events) >= person.events - width
    return Stretch(
        kind="contextual",
        words=say.last_events.format(count=width),
        others=say.events_before.format(count=person.events - width),
        inside=inside,
        within=_shares(person.counted(inside.astype(np.float64))),
        without=_shares(person.counted((~inside).astype(np.float64))),
        p=p,
        strength=strength,
        habit=False,
        moves=True,
    )


def _columns(topic: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """The column of each topic in tables of counts, and how many there are: the MOST_TESTED most frequent have one
    each, all others share one."""
    topics, number, counts = np.unique(topic, return_inverse=True, return_counts=True)
    if len(topics) <= MOST_TESTED:
        return number, len(topics)
    column = np.full(len(topics), MOST_TESTED)
    column[np.argsort(-counts, kind="stable")[:MOST_TESTED]] = np.arange(MOST_TESTED)
    return column[number], MOST_TESTED + 1


def _starts(person: Person, width: int) -> NDArray[np.int64]:
    """Where comparable stretches begin: with sessions that are long enough, else with any session, else anywhere."""
    last = person.events - 2 * width
    if person.time is not None:
        first = session_starts(person.time)
        lengths = np.diff(np.append(first, person.events))
        whole = first[(lengths >= width) & (first <= last)]
        if len(whole) >= LEAST_STRETCHES:
            return np.asarray(whole, dtype=np.int64)
    return np.arange(last % width, last + 1, max(width // 2, 1), dtype=np.int64) if last >= 0 else np.empty(0, np.int64)


def _exceeds(observed: float, comparable: Floats) -> tuple[float, float]:
    """The chance that a comparable value is as great, and how many of their standard deviations the observed one stands
    out: counted where any is as great, else from Student's t."""
    from scipy.special import stdtr  # of Student's t, without all of scipy.stats

    count = len(comparable)
    spread = max(float(comparable.std(ddof=1)), 0.02) * (1 + 1 / count) ** 0.5
    strength = (observed - float(comparable.mean())) / spread
    as_great = int((comparable >= observed - 1e-12).sum())
    tail = float(stdtr(count - 1, -strength))
    return max(tail, as_great / (count + 1)), strength


def _shares(counts: NDArray[Any]) -> Floats:
    return np.asarray(counts / max(float(counts.sum()), 1e-12))


def _divergence(some: Floats, others: Floats) -> Floats:
    """Jensen-Shannon divergence, in bits, between the rows of two tables of counts; in [0, 1] (Lin, 1991)."""
    p = some / np.maximum(some.sum(axis=1, keepdims=True), 1e-12)
    q = others / np.maximum(others.sum(axis=1, keepdims=True), 1e-12)
    middle = (p + q) / 2

    def relative(a: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(a > 0, a * np.log2(a / middle), 0.0).sum(axis=1))

    return np.asarray((relative(p) + relative(q)) / 2)
