"""Test whether segments of a history differ from the rest of it by more than chance.

There are three kinds of segments:

- the open session
- the latest sessions, which show a trend
- the sessions at this time of the day, week or year, or in this situation, which show a habit

The difference is the Jensen-Shannon divergence between the topics inside and outside the segment. Trends and habits are
tested by permuting sessions. The open session is compared with earlier segments of the same length. P-values are
corrected for the number of tests (Bonferroni).

Tests of habits leave the open session out, because one session does not make a habit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.profile.summarise import recent_count
from whimbrel.agent.schema.results import ShiftKind
from whimbrel.agent.shift.segments import Scope, Segment, segments_at
from whimbrel.agent.shift.topic_history import RECENT_EVENTS, Floats, Ints, Mask, TopicHistory
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.log.sessions import session_numbers, session_starts

SIGNIFICANCE_LEVEL = 0.03
"""A segment differs from the rest if its corrected p-value is at most this.

On planted logs without a shift, 2.0 to 4.3% of the predictions were false alarms (`whimbrel eval planted`,
docs/evaluation/shift-and-migration.md)."""
LEAST_UNITS = 8
"""A test needs at least this number of sessions or of comparable segments."""
LEAST_EVENTS_A_SIDE = 4
"""A test of sessions needs at least this number of events inside the segment, and the same number outside."""
PERMUTATIONS = 499
"""Random draws per test. The smallest p-value is then 1 in 500. With a correction for up to 15 tests it can still
reach SIGNIFICANCE_LEVEL."""
MOST_SESSIONS = 400
"""Trends and habits are tested on this number of latest sessions. It bounds the work of the permutations."""
MOST_TESTED_TOPICS = 60
"""A test distinguishes this number of most frequent topics. All other topics count as one."""
USUAL_SHARE = 0.6
"""A habit that holds more than this share of the sessions is the user's usual state."""
LEAST_SPREAD = 0.02
"""Smallest standard deviation of divergences, in bits. If all earlier segments are alike, any difference from them
would be significant without it."""
_ROUNDING = 1e-12
"""Divergences that differ by less than this count as equal."""


@dataclass(frozen=True)
class ChangeTest:
    """A segment of a history, and how surely its topics differ from the topics of the other events.

    Attributes:
        segment: All events of the segment, and its name.
        inside: The tested events of the segment, shape (events,).
        shares_inside: The share of each topic inside the segment, shape (topics,).
        shares_outside: The share of each topic outside the segment, shape (topics,).
        p_value: The probability of such a large difference if nothing changes.
        z_score: How many standard deviations the difference lies above the mean difference of comparable segments.
        implies_move: Whether the interest has to move to be in this segment. This is False if the latest event lies in
            the segment and the segment is the user's usual state.
        session_counts: How many sessions lie inside and outside. It is (0, 0) for a segment of events.
        words_inside: The segment in words.
        words_outside: The other events in words.
    """

    segment: Segment
    inside: Mask
    shares_inside: Floats
    shares_outside: Floats
    p_value: float
    z_score: float
    implies_move: bool
    session_counts: tuple[int, int] = (0, 0)
    words_inside: str = ""
    words_outside: str = ""

    @property
    def kind(self) -> ShiftKind:
        """The kind of shift that is named if the interest moves to this segment."""
        return self.segment.kind


def run_change_tests(
    history: TopicHistory, *, at: float | None, situation: Mapping[str, str], say: Phrases
) -> list[ChangeTest]:
    """Run every change test for which the history has enough events.

    Args:
        history: The user's events before the moment.
        at: The moment in Unix seconds. If it is None, habits of time are not tested.
        situation: The situation at the moment, as keys and values.
        say: The phrases that name segments.

    Returns:
        The tests with corrected p-values, the smallest p-value first. Among equal p-values the largest z-score is
        first.
    """
    session = history.open_session(at)
    tests = [*_test_session(history, session, say), *_test_sessions(history, session, at, situation, say)]
    corrected = (replace(test, p_value=min(1.0, test.p_value * len(tests))) for test in tests)
    return sorted(corrected, key=lambda test: (test.p_value, -test.z_score))


def strongest_change(tests: Sequence[ChangeTest]) -> ChangeTest | None:
    """Return the change that a shift is named after, or None if there is none.

    Only tests that are significant and imply a move count. Habits go before trends, and trends before the open
    session. Within a group the largest z-score wins.
    """
    significant = [test for test in tests if test.p_value <= SIGNIFICANCE_LEVEL and test.implies_move]
    return max(
        significant, key=lambda test: (test.segment.is_habit, test.kind != "contextual", test.z_score), default=None
    )


def rising_topics(test: ChangeTest, *, most: int) -> list[int]:
    """Return the rows of up to `most` topics that are more frequent inside a segment than outside.

    They are ordered by each topic's term in the Kullback-Leibler divergence from the other events, the largest first.
    """
    gain = test.shares_inside * np.log((test.shares_inside + 1e-3) / (test.shares_outside + 1e-3))
    return [int(row) for row in np.argsort(-gain, kind="stable")[:most] if gain[row] > 0]


def falling_topics(test: ChangeTest, *, most: int) -> list[int]:
    """Return the rows of up to `most` topics that are less frequent inside a segment than outside.

    The topic whose share falls most comes first.
    """
    fall = test.shares_outside - test.shares_inside
    return [int(row) for row in np.argsort(-fall, kind="stable")[:most] if fall[row] > 0]


def _test_sessions(
    history: TopicHistory, session: Mask, at: float | None, situation: Mapping[str, str], say: Phrases
) -> Iterator[ChangeTest]:
    """Test trends and habits on the sessions before the open one."""
    earlier = ~session if history.times is not None else np.ones(history.event_count, dtype=bool)
    sessions = _Sessions.of(history, earlier)
    if sessions is None:
        return
    if history.times is not None:
        yield from sessions.test_trends(say)
    for segment in segments_at(history, at=at, situation=situation, say=say):
        test = sessions.test(segment)
        if test:
            count, others = test.session_counts
            yield replace(
                test,
                words_inside=say.shift.sessions.format(count=count, which=segment.here),
                words_outside=say.shift.sessions.format(count=others, which=segment.elsewhere),
            )


@dataclass(frozen=True)
class _Sessions:
    """A history and the session number of each tested event.

    Attributes:
        history: The events.
        number: The session number of each event, shape (events,). It is -1 for events that are not tested.
    """

    history: TopicHistory
    number: Ints

    @classmethod
    def of(cls, history: TopicHistory, tested: Mask) -> "_Sessions | None":
        """Number the sessions of the tested events. Returns None if there are too few."""
        events = np.flatnonzero(tested)
        if len(events) < 2 * LEAST_EVENTS_A_SIDE:
            return None
        # If times are unknown, every event is a session of its own.
        session_number = np.arange(len(events)) if history.times is None else session_numbers(history.times[events])
        if session_number[-1] + 1 < LEAST_UNITS:
            return None
        # Sessions before the latest MOST_SESSIONS get a negative number, which means that they are not tested.
        number = np.full(history.event_count, -1, dtype=np.int64)
        number[events] = np.maximum(session_number - max(int(session_number[-1]) - MOST_SESSIONS + 1, 0), -1)
        return cls(history, number)

    def test_trends(self, say: Phrases) -> Iterator[ChangeTest]:
        """Test the sessions of the profile's recent events, then the sessions of the later half of these events."""
        tested = np.flatnonzero(self.number >= 0)
        recent = recent_count(len(tested))
        for width in dict.fromkeys((recent, max(recent // 2, 2))):
            first = self.number[tested[-width]] if width < len(tested) else 0
            events = np.arange(self.history.event_count) >= int(np.argmax(self.number >= first))
            test = self.test(Segment("trend", "temporal", events))
            if test:
                count, others = test.session_counts
                yield replace(
                    test,
                    words_inside=say.shift.last_sessions.format(count=count),
                    words_outside=say.shift.sessions_before.format(count=others),
                    implies_move=True,
                )

    def test(self, segment: Segment) -> ChangeTest | None:
        """Test a segment against random draws of the same number of sessions.

        A session that lies partly inside the segment is split into two at its border.

        Returns:
            None if there are too few events or sessions.
        """
        history, tested = self.history, self.number >= 0
        inside = segment.events & tested
        if min(inside.sum(), (tested & ~inside).sum()) < LEAST_EVENTS_A_SIDE:
            return None
        # Each session gets two numbers: one for its events inside the segment, one for its events outside.
        _, number = np.unique(self.number[tested] * 2 + inside[tested], return_inverse=True)
        session_of = np.full(history.event_count, -1, dtype=np.int64)
        session_of[tested] = number
        sessions = int(number.max()) + 1
        is_inside = np.zeros(sessions, dtype=bool)
        is_inside[number] = inside[tested]
        size = int(is_inside.sum())
        if sessions < LEAST_UNITS or not 2 <= size <= sessions - 2:
            return None
        kept = session_of[history.pair_event] >= 0
        topic, session = history.pair_topic[kept], session_of[history.pair_event[kept]]
        # Each session weighs 1, however many events it has, because its events are not independent observations.
        weight = history.pair_share[kept] / np.bincount(number)[session]
        column, columns = _topic_columns(topic)
        counts = np.bincount(session * columns + column, weights=weight, minlength=sessions * columns)
        counts = counts.reshape(sessions, columns)
        random = np.random.default_rng(0)  # a fixed seed, so that the same history gives the same p-value
        # The segment itself counts as one of the draws, so that no p-value is 0.
        permuted_sides = random.permuted(np.tile(is_inside, (PERMUTATIONS, 1)), axis=1)
        draws = np.vstack([is_inside[None], permuted_sides]).astype(np.float64)
        drawn = draws @ counts
        divergence = _divergence(drawn, counts.sum(axis=0) - drawn)
        observed, permuted = divergence[0], divergence[1:]
        here, topics = is_inside[session], len(history.topic_names)
        was_inside_last = bool(inside[np.flatnonzero(tested)[-1]])
        return ChangeTest(
            segment=segment,
            inside=inside,
            shares_inside=_shares(np.bincount(topic[here], weights=weight[here], minlength=topics)),
            shares_outside=_shares(np.bincount(topic[~here], weights=weight[~here], minlength=topics)),
            p_value=float((divergence >= observed - _ROUNDING).mean()),
            z_score=float((observed - permuted.mean()) / max(permuted.std(), 1e-9)),
            implies_move=not was_inside_last or size <= USUAL_SHARE * sessions,
            session_counts=(size, sessions - size),
        )


def _test_session(history: TopicHistory, session: Mask, say: Phrases) -> Iterator[ChangeTest]:
    """Test the open session against earlier segments of the same length.

    If times are unknown or the session holds at least half of the history, the latest events are tested instead.
    """
    length = int(session.sum())
    take_latest = history.times is None or 2 * length >= history.event_count
    widths = [RECENT_EVENTS, recent_count(history.event_count)] if take_latest else [length]
    for width in dict.fromkeys(widths):
        if 2 <= width < history.event_count / 2:
            test = _test_latest_events(history, width, "latest" if take_latest else "session", say)
            if test:
                yield test


def _test_latest_events(history: TopicHistory, width: int, scope: Scope, say: Phrases) -> ChangeTest | None:
    """Test the latest `width` events. Returns None if too few earlier segments have this length."""
    starts = _segment_starts(history, width)
    if len(starts) < LEAST_UNITS:
        return None
    column, columns = _topic_columns(history.pair_topic)
    per_event = np.zeros((history.event_count + 1, columns))
    np.add.at(per_event, (history.pair_event + 1, column), history.pair_share)
    # Running sums make the counts of any segment the difference between two rows.
    running = per_event.cumsum(axis=0)
    total, latest = running[-1], running[-1] - running[history.event_count - width]
    past = running[starts + width] - running[starts]
    observed = float(_divergence(latest[None], (total - latest)[None])[0])
    # Each earlier segment is compared with the rest of the history. The latest events are left out of that rest.
    comparable = _divergence(past, total - past - latest)
    p_value, z_score = _exceedance(observed, comparable)
    inside = np.arange(history.event_count) >= history.event_count - width
    return ChangeTest(
        segment=Segment(scope, "contextual", inside),
        inside=inside,
        shares_inside=_shares(history.topic_counts(inside.astype(np.float64))),
        shares_outside=_shares(history.topic_counts((~inside).astype(np.float64))),
        p_value=p_value,
        z_score=z_score,
        implies_move=True,
        words_inside=say.shift.last_events.format(count=width),
        words_outside=say.shift.events_before.format(count=history.event_count - width),
    )


def _topic_columns(topic: Ints) -> tuple[Ints, int]:
    """Return the column of each topic in a table of counts, and the number of columns.

    Each of the MOST_TESTED_TOPICS most frequent topics has its own column. All other topics share one column.
    """
    topics, number, counts = np.unique(topic, return_inverse=True, return_counts=True)
    if len(topics) <= MOST_TESTED_TOPICS:
        return number, len(topics)
    column = np.full(len(topics), MOST_TESTED_TOPICS)
    column[np.argsort(-counts, kind="stable")[:MOST_TESTED_TOPICS]] = np.arange(MOST_TESTED_TOPICS)
    return column[number], MOST_TESTED_TOPICS + 1


def _segment_starts(history: TopicHistory, width: int) -> Ints:
    """Return the positions at which earlier segments of `width` events start.

    If enough sessions have at least `width` events, the segments are the beginnings of those sessions. Otherwise the
    segments cover the whole history, each overlapping the next by half. No segment reaches into the latest `width`
    events.
    """
    last = history.event_count - 2 * width
    if history.times is not None:
        first = session_starts(history.times)
        lengths = np.diff(np.append(first, history.event_count))
        whole = first[(lengths >= width) & (first <= last)]
        if len(whole) >= LEAST_UNITS:
            return np.asarray(whole, dtype=np.int64)
    return np.arange(last % width, last + 1, max(width // 2, 1), dtype=np.int64) if last >= 0 else np.empty(0, np.int64)


def _exceedance(observed: float, comparable: Floats) -> tuple[float, float]:
    """Return the p-value and the z-score of a divergence among comparable ones.

    The p-value is the larger of two estimates: the tail of Student's t, and the share of values that are at least as
    large as the observed one.
    """
    from scipy.special import stdtr  # Student's t, without the slow import of scipy.stats

    count = len(comparable)
    # The factor comes from the prediction interval, because the mean of the comparable values is itself an estimate.
    spread = max(float(comparable.std(ddof=1)), LEAST_SPREAD) * (1 + 1 / count) ** 0.5
    z_score = (observed - float(comparable.mean())) / spread
    as_great = int((comparable >= observed - _ROUNDING).sum())
    tail = float(stdtr(count - 1, -z_score))
    return max(tail, as_great / (count + 1)), z_score


def _shares(counts: NDArray[Any]) -> Floats:
    return np.asarray(counts / max(float(counts.sum()), 1e-12))


def _divergence(some: Floats, others: Floats) -> Floats:
    """Return the Jensen-Shannon divergence between the rows of two tables of counts, in bits (Lin, 1991)."""
    p = some / np.maximum(some.sum(axis=1, keepdims=True), 1e-12)
    q = others / np.maximum(others.sum(axis=1, keepdims=True), 1e-12)
    middle = (p + q) / 2

    def relative_entropy(a: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(a > 0, a * np.log2(a / middle), 0.0).sum(axis=1))

    return np.asarray((relative_entropy(p) + relative_entropy(q)) / 2)
