"""Show how an interest moved: the history in periods, each with its topics and the shift predicted at its end."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.html import timeline_html
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.marks import COLOURS
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.forecast import TopicForecast
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.agent.shift.predict import Prediction, ShiftQuery, predict_shift
from whimbrel.agent.shift.topic_history import MOST_TOPICS
from whimbrel.prompts.phrases import Language
from whimbrel.tools.frames import Tabular
from whimbrel.tools.log.sessions import session_starts
from whimbrel.tools.records import Interaction
from whimbrel.tools.timestamps import DAY_SECONDS, Time

MOST_PERIODS = 40
"""Most periods of a timeline. The unit of time is chosen so that there are no more."""
LEAST_SESSION_PERIODS, MOST_SESSION_PERIODS = 2, 12
"""A history with 2 to 12 sessions has one period for each session. Other histories are cut into equal units of time."""
LEADING_TOPICS = len(COLOURS)
"""Number of topics that have a colour of their own. All other topics are shown together."""
MOST_WORK = 16_000_000
"""Most cells (events times topics, summed over the periods) that are read, which takes about 2 s on a slow core. If a
history has more, the prediction of each period reads only as many of the latest events as this allows."""
EVENT_WORK = 25
"""Cells that one event costs in addition to one cell for each topic."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, validate_by_name=True)


class Period(_Value):
    """The events at or after `start` and before `end`.

    Attributes:
        start: The start in Unix seconds. In JSON it is `from`.
        end: The end in Unix seconds. In JSON it is `to`.
        events: How many events there are.
        topics: The share of each topic among these events, the largest first. An event with several topics counts as a
            fraction for each. If some events have no topics, the shares add up to less than 1.
        shift: The shift predicted as of `end` from the events before it, without a situation.
    """

    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    events: int
    topics: dict[str, float]
    shift: Shift

    @property
    def shifts(self) -> bool:
        """Whether the period shows a shift. An empty period does not, because it only repeats an earlier prediction."""
        return self.events > 0 and self.shift.kind != "none"


class Timeline(_Value, Tabular):
    """How the interest of a user moved up to a moment, and where it goes next.

    Attributes:
        user_id: The user whose history it is.
        at: The moment, in Unix seconds.
        shift: The shift predicted as of `at`.
        periods: The periods up to the last event before `at`, the earliest first. In JSON they are `timeline`.
        unit: The length of a period: the name of one of UNITS, or `session`. JSON does not include it.
        warnings: What the user should know, in words. JSON does not include them.
        topics: The probability of each topic of the next event, the likeliest first.
        p_topic_change: The probability that the next event has none of the latest events' topics. In JSON it is
            `moves`.
        outlook: The topics that the next window of time will probably hold. None unless the store is fitted.
    """

    user_id: str
    at: Time
    shift: Shift
    periods: Annotated[tuple[Period, ...], Field(alias="timeline")]
    unit: Annotated[str, Field(exclude=True)] = "session"
    warnings: Annotated[tuple[str, ...], Field(exclude=True)] = ()
    topics: dict[str, float] = {}
    p_topic_change: Annotated[float | None, Field(alias="moves")] = None
    outlook: TopicForecast | None = None

    @property
    def events(self) -> int:
        """How many events all periods hold."""
        return sum(period.events for period in self.periods)

    def leading(self) -> dict[str, float]:
        """Return the most frequent topics, the most frequent first, each with its share of all events."""
        counts = self._counts()
        first = sorted(counts, key=lambda topic: (-round(counts[topic], 3), topic))[:LEADING_TOPICS]
        return {topic: counts[topic] / self.events for topic in first}

    def others(self) -> float:
        """Return the total share of the topics that are not leading. It is 0 if there are no events."""
        counts, leading = self._counts(), self.leading()
        return sum(count for topic, count in counts.items() if topic not in leading) / max(self.events, 1)

    def columns(self) -> dict[str, list[Any]]:
        """Return a row for each period: its time, its number of events, the shift, and the share of each topic.

        The columns `topic.NAME` hold the shares of the leading topics, the most frequent first.
        """
        shifts = [period.shift for period in self.periods]
        return {
            "from": [datetime.fromtimestamp(period.start, tz=UTC) for period in self.periods],
            "to": [datetime.fromtimestamp(period.end, tz=UTC) for period in self.periods],
            "events": [period.events for period in self.periods],
            "shift_kind": [shift.kind for shift in shifts],
            "shift_confidence": [shift.confidence for shift in shifts],
            "from_topics": ["; ".join(shift.from_topics) for shift in shifts],
            "to_topics": ["; ".join(shift.to_topics) for shift in shifts],
            "reason": [shift.reason for shift in shifts],
            **{f"topic.{name}": [period.topics.get(name, 0.0) for period in self.periods] for name in self.leading()},
        }

    def _repr_html_(self) -> str:
        return timeline_html(
            self.model_dump(mode="json"), unit=self.unit, topics=self.leading(), warnings=self.warnings
        )

    def _counts(self) -> dict[str, float]:
        counts: dict[str, float] = {}
        for period in self.periods:
            for topic, share in period.topics.items():
                counts[topic] = counts.get(topic, 0.0) + share * period.events
        return counts


@dataclass(frozen=True)
class Unit:
    """The length of a period: a number of seconds, counted from a Monday, or a number of calendar months."""

    name: str
    seconds: int = 0
    months: int = 0

    def number(self, time: float, zone: tzinfo = UTC) -> int:
        """Return the number of the period that a time lies in, on a clock of the zone."""
        moment = datetime.fromtimestamp(time, tz=zone)
        if self.seconds:
            return int((moment.replace(tzinfo=UTC).timestamp() - _MONDAY) // self.seconds)
        return (moment.year * 12 + moment.month - 1) // self.months

    def start(self, number: int, zone: tzinfo = UTC) -> float:
        """Return the start of the period with this number, in Unix seconds."""
        if self.seconds:
            clock = datetime.fromtimestamp(_MONDAY + number * self.seconds, tz=UTC)
            return clock.replace(tzinfo=zone).timestamp()
        year, month = divmod(number * self.months, 12)
        return datetime(year, month + 1, 1, tzinfo=zone).timestamp()


_MONDAY = -3 * DAY_SECONDS  # 29 December 1969, since Unix time starts on a Thursday
UNITS = (
    Unit("minute", 60),
    Unit("5 minutes", 300),
    Unit("15 minutes", 900),
    Unit("hour", 3600),
    Unit("6 hours", 6 * 3600),
    Unit("day", DAY_SECONDS),
    Unit("week", 7 * DAY_SECONDS),
    Unit("2 weeks", 14 * DAY_SECONDS),
    Unit("month", months=1),
    Unit("quarter", months=3),
    Unit("year", months=12),
    Unit("decade", months=120),
)
"""The units from short to long. With decades, no history that a log can hold has more than MOST_PERIODS periods."""


@dataclass(frozen=True)
class _Span:
    """The times of a period and the positions of its events: from `first` up to but not including `last`."""

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
    zone: tzinfo = UTC,
) -> Timeline:
    """Build the timeline of a history.

    The shift at the end of a period is predicted only from the events before that end. The prediction uses no
    situation, no habits of other users and no language model.

    Args:
        history: Events in order of time. Events at or after `at` are left out.
        present: The prediction as of `at` for this history, made by the caller.
        user_id: The user whose history it is.
        at: The end of the timeline in Unix seconds.
        language: The language of the shifts' reasons.
        topics: The fitted models of the next topics. The default is the pair that is shipped.
        zone: The zone of the periods' days and months, and of the times in reasons.
    """
    known = history[: bisect_left(history, at, key=lambda event: event.time)]
    times = [event.time for event in known]
    unit = _unit(times, zone)
    spans = list(_spans(times, unit, at, zone))
    most_events = _most_events_read(known, spans)
    # The hour and the day of a period's end only mean something if periods are shorter than a day.
    tells_hour = unit is None or 0 < unit.seconds < DAY_SECONDS
    periods = tuple(
        Period(
            start=span.start,
            end=span.end,
            events=span.last - span.first,
            topics=_topic_shares(known[span.first : span.last]),
            shift=predict_shift(
                known[max(span.last - most_events, 0) : span.last],
                ShiftQuery(at=span.end if tells_hour else None),
                model=ModelAccess(language=language, zone=zone),
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


def _unit(times: Sequence[float], zone: tzinfo) -> Unit | None:
    """Return the shortest unit that makes no more than MOST_PERIODS periods, or None if each session is a period.

    A few sessions are shown as they are, because most units of equal length would be empty.
    """
    if not times or LEAST_SESSION_PERIODS <= len(session_starts(times)) <= MOST_SESSION_PERIODS:
        return None
    return next(unit for unit in UNITS if unit.number(times[-1], zone) - unit.number(times[0], zone) < MOST_PERIODS)


def _spans(times: Sequence[float], unit: Unit | None, at: float, zone: tzinfo) -> Iterator[_Span]:
    """Return the times of the periods.

    A session ends a second after its last event. A unit of time ends when the next one starts. No period ends after
    `at`.
    """
    if not times:
        return
    if unit:
        for number in range(unit.number(times[0], zone), unit.number(times[-1], zone) + 1):
            yield _Span.between(unit.start(number, zone), min(unit.start(number + 1, zone), at), times)
        return
    for first, last in pairwise([*session_starts(times).tolist(), len(times)]):
        # The end of a period is exclusive. The added second keeps the last event in its session.
        yield _Span.between(times[first], min(times[last - 1] + 1, at), times)


def _most_events_read(known: Sequence[Interaction], spans: Sequence[_Span]) -> int:
    """Return how many events the prediction of a period may read."""
    topics = len({topic for event in known for topic in event.topics})
    cost = min(topics, MOST_TOPICS) + EVENT_WORK
    if sum(span.last for span in spans) * cost <= MOST_WORK:
        return len(known)
    return MOST_WORK // cost // len(spans)


def _topic_shares(events: Sequence[Interaction]) -> dict[str, float]:
    """Return the share of each topic among events, the largest first."""
    counts: dict[str, float] = {}
    for event in events:
        for topic in event.topics:
            counts[topic] = counts.get(topic, 0.0) + 1 / len(event.topics)
    # Counts are rounded before sorting, so that rounding errors cannot change the order of topics with equal shares.
    ordered = sorted(counts.items(), key=lambda pair: (-round(pair[1], 6), pair[0]))
    return {topic: round(count / len(events), 6) for topic, count in ordered}
