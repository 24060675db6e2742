"""How an interest moved: the history in periods, each with its topics and the shift predicted at its end."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.next_topics import MOST_TOPICS, NextTopics
from whimbrel.agent.shift.outlook import Outlook
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.prompts.phrases import Language
from whimbrel.tools.log.sessions import session_starts
from whimbrel.tools.records import Interaction
from whimbrel.tools.timestamps import Time

MOST_PERIODS = 40
LEAST_SESSIONS, MOST_SESSIONS = 2, 12
"""Sessions of a history that are its periods; other histories are cut into equal units of time."""
LEADING = 8
"""Topics that have a colour of their own; what is left is the others."""
MOST_WORK, EVENT_WORK = 16_000_000, 25
"""Cells (events by topics, summed over the predictions) for about 2 s on a slow core; an event costs as much as so
many cells. Where more would be needed, a period's prediction rests on as many of the latest events as that allows."""
DAY = 24 * 3600


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)


class Period(_Value):
    """The events from `start` on and before `end`. `topics` are shares of these events, the largest first; the topics
    of one event share it, and what they lack to 1 bore no topic. `shift` is predicted as of `end` from what was known
    then, and of the situation nothing was."""

    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    events: int
    topics: dict[str, float]
    shift: Shift

    @property
    def shifts(self) -> bool:
        """Whether a shift is to be shown: an empty period has only what came before it."""
        return self.events > 0 and self.shift.kind != "none"


class Timeline(_Value):
    """The periods up to the last event before `at`, and the shift as of `at`, with the likeliest `topics` of the next
    event and the probability that it bears none of the latest ones (`p_topic_change`, `moves` in JSON), and what the next stretch of time will
    hold (`outlook`, of a fitted store). `unit` is a `UNITS` name, or `session`.

    In JSON the periods stand under `timeline`; unit and warnings are for people.
    """

    user_id: str
    at: Time
    shift: Shift
    periods: Annotated[tuple[Period, ...], Field(alias="timeline")]
    unit: Annotated[str, Field(exclude=True)] = "session"
    warnings: Annotated[tuple[str, ...], Field(exclude=True)] = ()
    topics: dict[str, float] = {}
    p_topic_change: Annotated[float | None, Field(alias="moves")] = None
    outlook: Outlook | None = None

    @property
    def events(self) -> int:
        return sum(period.events for period in self.periods)

    def leading(self) -> dict[str, float]:
        """The topics with the most events, the most frequent first, each with its share of all events."""
        counts = self._counts()
        first = sorted(counts, key=lambda topic: (-round(counts[topic], 3), topic))[:LEADING]
        return {topic: counts[topic] / self.events for topic in first}

    def others(self) -> float:
        """The share of the topics that do not lead, 0 where there are none."""
        counts, leading = self._counts(), self.leading()
        return sum(count for topic, count in counts.items() if topic not in leading) / max(self.events, 1)

    def _counts(self) -> dict[str, float]:
        counts: dict[str, float] = {}
        for period in self.periods:
            for topic, share in period.topics.items():
                counts[topic] = counts.get(topic, 0.0) + share * period.events
        return counts


@dataclass(frozen=True)
class Unit:
    """Equal stretches of time: so many seconds, counted from a Monday, or so many calendar months."""

    name: str
    seconds: int = 0
    months: int = 0

    def number(self, time: float) -> int:
        """Which of them a time lies in."""
        if self.seconds:
            return int((time - _MONDAY) // self.seconds)
        moment = datetime.fromtimestamp(time, tz=UTC)
        return (moment.year * 12 + moment.month - 1) // self.months

    def start(self, number: int) -> float:
        """When it begins."""
        if self.seconds:
            return float(_MONDAY + number * self.seconds)
        year, month = divmod(number * self.months, 12)
        return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()


_MONDAY = -3 * DAY
UNITS = (
    Unit("minute", 60),
    Unit("5 minutes", 300),
    Unit("15 minutes", 900),
    Unit("hour", 3600),
    Unit("6 hours", 6 * 3600),
    Unit("day", DAY),
    Unit("week", 7 * DAY),
    Unit("2 weeks", 14 * DAY),
    Unit("month", months=1),
    Unit("quarter", months=3),
    Unit("year", months=12),
    Unit("decade", months=120),
)
"""From short to long. The last one cuts any history that a log can hold into no more than `MOST_PERIODS`."""


@dataclass(frozen=True)
class _Span:
    """A period's times, and which events of the history are in it."""

    start: float
    end: float
    first: int
    last: int

    @classmethod
    def between(cls, start: float, end: float, times: Sequence[float]) -> Self:
        return cls(start, end, bisect_left(times, start), bisect_left(times, end))


def timeline_of(
    history: Sequence[Interaction],
    present: Prediction,
    *,
    user_id: str,
    at: float,
    language: Language = "en",
    topics: NextTopics | None = None,
) -> Timeline:
    """Build the timeline of a history.

    The shift at the end of a period is predicted from the events before that end alone: without a situation, without
    the habits of other users and without a language model.

    Args:
        history: Events in order of time. Events at or after `at` are left out.
        present: The prediction as of `at` for this history, made by the caller.
        user_id: Whose history it is.
        at: Unix seconds of the moment that the timeline ends at.
        language: The language of the reasons of the shifts.
        topics: The fitted model of the next topics; by default the one that is shipped.
    """
    known = history[: bisect_left(history, at, key=lambda event: event.time)]
    times = [event.time for event in known]
    unit = _unit(times)
    spans = list(_spans(times, unit, at))
    longest = _longest(known, spans)
    periods = tuple(
        Period(
            start=span.start,
            end=span.end,
            events=span.last - span.first,
            topics=_shares(known[span.first : span.last]),
            shift=predict_shift(
                known[max(span.last - longest, 0) : span.last],
                ShiftQuery(at=span.end if unit is None or 0 < unit.seconds < DAY else None),
                model=ModelAccess(language=language),
                topics=topics,
            ).shift,
        )
        for span in spans
    )
    return Timeline(
        user_id=user_id,
        at=at,
        shift=present.shift,
        topics=present.topics,
        p_topic_change=present.p_topic_change,
        periods=periods,
        unit=unit.name if unit else "session",
        warnings=present.warnings,
    )


def _unit(times: Sequence[float]) -> Unit | None:
    """None for sessions: a few of them tell more than stretches of time, of which most were empty."""
    sessions = len(session_starts(times))
    if not times or LEAST_SESSIONS <= sessions <= MOST_SESSIONS:
        return None
    fitting = (unit for unit in UNITS if unit.number(times[-1]) - unit.number(times[0]) < MOST_PERIODS)
    return next(fitting)


def _spans(times: Sequence[float], unit: Unit | None, at: float) -> Iterator[_Span]:
    """A session ends a second after its last event, a unit of time where the next one begins, and none after `at`."""
    if not times:
        return
    if unit:
        for number in range(unit.number(times[0]), unit.number(times[-1]) + 1):
            yield _Span.between(unit.start(number), min(unit.start(number + 1), at), times)
        return
    for first, last in pairwise([*session_starts(times).tolist(), len(times)]):
        yield _Span.between(times[first], min(times[last - 1] + 1, at), times)


def _longest(known: Sequence[Interaction], spans: Sequence[_Span]) -> int:
    """How many events a period's prediction may rest on."""
    topics = len({topic for event in known for topic in event.topics})
    cost = min(topics, MOST_TOPICS) + EVENT_WORK
    if sum(span.last for span in spans) * cost <= MOST_WORK:
        return len(known)
    return MOST_WORK // cost // len(spans)


def _shares(events: Sequence[Interaction]) -> dict[str, float]:
    counts: dict[str, float] = {}
    for event in events:
        for topic in event.topics:
            counts[topic] = counts.get(topic, 0.0) + 1 / len(event.topics)
    ordered = sorted(counts.items(), key=lambda pair: (-round(pair[1], 6), pair[0]))
    return {topic: round(count / len(events), 6) for topic, count in ordered}
