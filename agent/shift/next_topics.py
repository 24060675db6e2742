"""Which topics the next event of a person bears: a probability for each, from signals that can be named.

Each signal tells of each topic how much likelier it is than the person's (or everybody's) mean would have it, in nats.
They are weighed and added (a conditional logit, McFadden, 1974), so that of every probability it can be said which
signal made it. A second step calibrates how probably the next event bears any topic of a set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.tools.log.sessions import open_session_start
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.records import Item
from whimbrel.tools.timestamps import hour_of, is_weekend

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGNALS = (
    "ever",
    "lately",
    "last event",
    "session",
    "hour",
    "weekend",
    "situation",
    "sequence",
    "everybody",
    "everybody lately",
    "everybody's hour",
    "everybody's weekend",
    "everybody's situation",
    "everybody's sequence",
)
"""Shares of the person's events and of the latest ones; how the current session, this hour, weekend or not, this
situation, and what follows the last event's topics differ from that; the same of everybody."""
RECENT = 5
"""Latest events whose topics are where the interest is now."""
HALF_LIVES = (20.0, 4.0)
"""Events after which one counts half, for `lately` and `last event`."""
HOURS_NEAR = 4
"""Hours from which on two times of day have nothing to do with each other."""
OWN, OF_ALL = 4.0, 30.0
"""Events as which the person's (everybody's) mean counts beside what was seen at an hour or in a situation."""
MOST_TOPICS = 1000


@dataclass(frozen=True)
class Person:
    """A history as arrays: `topic`, `event` and `share` flat over the topics of events (those of one event share 1),
    `time` (None unless all are known) and `situations` by event."""

    names: tuple[str, ...]
    events: int
    topic: Ints
    event: Ints
    share: Floats
    time: Floats | None
    situations: Sequence[Mapping[str, str]]

    @classmethod
    def of(cls, history: Sequence[Item], habits: TopicHabits | None = None) -> Self:
        """With everybody's topics where they are known, else the person's own."""
        counts: dict[str, int] = {}
        for item in history:
            for name in item.topics:
                counts[name] = counts.get(name, 0) + 1
        own = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_TOPICS]
        names = tuple(dict.fromkeys([*(habits.topics if habits else ()), *sorted(own)]))
        position = {name: row for row, name in enumerate(names)}
        told = [(row, position[one]) for row, item in enumerate(history) for one in item.topics if one in position]
        table = np.array(told, dtype=np.int64).reshape(-1, 2)
        event, topic = table[:, 0], table[:, 1]
        share = 1.0 / np.maximum(np.bincount(event, minlength=len(history)), 1)[event]
        times = [item.time for item in history]
        known = np.array(times, dtype=np.float64) if times and None not in times else None
        return cls(names, len(history), topic, event, share, known, [getattr(item, "context", {}) for item in history])

    def before(self, event: int) -> "Person":
        """The same before one of its events."""
        stop = int(np.searchsorted(self.event, event))
        return Person(
            self.names,
            event,
            self.topic[:stop],
            self.event[:stop],
            self.share[:stop],
            None if self.time is None else self.time[:event],
            self.situations[:event],
        )

    def counted(self, weight: Floats) -> Floats:
        """Events of each topic, each event with a weight, shape (topics,)."""
        weights = self.share * weight[self.event]
        return np.asarray(np.bincount(self.topic, weights=weights, minlength=len(self.names)), dtype=np.float64)

    def topics_of(self, event: int) -> Ints:
        """Rows of the topics of one event."""
        first, last = np.searchsorted(self.event, [event, event + 1])
        return self.topic[first:last]

    def bears(self, topics: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which events bear any of these topics (a mask over names), shape (events,)."""
        return np.bincount(self.event, weights=topics[self.topic], minlength=self.events) > 0

    def recent(self) -> NDArray[np.bool_]:
        """Which topics the latest RECENT events bear, shape (topics,)."""
        found = np.zeros(len(self.names), dtype=bool)
        found[self.topic[self.event >= self.events - RECENT]] = True
        return found

    def session(self, at: float | None) -> NDArray[np.bool_]:
        """Which events are of the session under way at a moment; without times the RECENT latest ones."""
        if self.time is None:
            return np.arange(self.events) >= self.events - RECENT
        if not self.events:
            return np.zeros(0, dtype=bool)
        return np.arange(self.events) >= open_session_start(self.time, at=at)


def signals(person: Person, *, at: float | None, situation: Mapping[str, str], habits: TopicHabits | None) -> Floats:
    """Every topic's SIGNALS, shape (topics, signals), in nats."""
    size = len(person.names)
    found = np.zeros((size, len(SIGNALS)))
    column = {name: found[:, number] for number, name in enumerate(SIGNALS)}
    base = np.full(size, 1.0 / max(size, 1))
    if habits:
        base = _everybody(column, person, at, situation, habits)
    age = np.arange(person.events)[::-1].astype(np.float64)
    ever = _share(person.counted(np.ones(person.events)), OWN, base)
    column["ever"][:] = np.log(ever)
    for name, half_life in zip(("lately", "last event"), HALF_LIVES, strict=True):
        column[name][:] = np.log(_share(person.counted(0.5 ** (age / half_life)), OWN / 2, ever) / ever)
    session = person.session(at)
    column["session"][:] = np.log(_share(person.counted(session.astype(np.float64)), OWN / 2, ever) / ever)
    if at is not None and person.time is not None:
        apart = np.abs(hour_of(person.time) - hour_of(np.array([at])))
        near = np.maximum(1 - np.minimum(apart, 24 - apart) / HOURS_NEAR, 0.0)
        column["hour"][:] = np.log(_share(person.counted(near * ~session), OWN, ever) / ever)
        alike = is_weekend(person.time) == is_weekend(np.array([at]))
        column["weekend"][:] = np.log(_share(person.counted(alike * ~session * 1.0), OWN, ever) / ever)
    for key, value in situation.items():
        same = np.array([other.get(key) == value for other in person.situations], dtype=np.float64)
        if 0 < same.sum() < len(same):
            column["situation"][:] += np.log(_share(person.counted(same), OWN, ever) / ever)
    if person.events > 1:
        last = np.zeros(size, dtype=bool)
        last[person.topics_of(person.events - 1)] = True
        behind = np.append(False, person.bears(last)[:-1]).astype(np.float64)
        column["sequence"][:] = np.log(_share(person.counted(behind), OWN, ever) / ever)
    return found


def _everybody(
    column: Mapping[str, Floats], person: Person, at: float | None, situation: Mapping[str, str], habits: TopicHabits
) -> Floats:
    """Everybody's signals into their columns; returns the share of each topic among all events."""
    size, known = len(person.names), len(habits.topics)

    def wide(counts: Floats) -> Floats:
        return np.concatenate([counts, np.zeros(size - known)])

    base = _share(wide(habits.ever), 1.0, np.full(size, 1.0 / max(size, 1)))
    base[known:] = base[:known].mean()  # of a topic that nobody else met nothing is known
    base /= base.sum()
    column["everybody"][:] = np.log(base)
    column["everybody lately"][:] = np.log(_share(wide(habits.lately), OF_ALL, base) / base)
    if at is not None and person.time is not None:
        hour = int(hour_of(np.array([at]))[0])
        near = sum(habits.hours[(hour + step) % 24] * (1 - abs(step) / HOURS_NEAR) for step in range(-3, 4))
        column["everybody's hour"][:] = np.log(_share(wide(np.asarray(near)), OF_ALL, base) / base)
        weekend = habits.weekend[int(is_weekend(np.array([at]))[0])]
        column["everybody's weekend"][:] = np.log(_share(wide(weekend), OF_ALL, base) / base)
    for pair in situation.items():
        if pair in habits.situations:
            column["everybody's situation"][:] += np.log(_share(wide(habits.situations[pair]), OF_ALL, base) / base)
    if person.events:
        last = person.topics_of(person.events - 1)
        behind = habits.follows[last[last < known]].sum(axis=0).astype(np.float64)
        column["everybody's sequence"][:] = np.log(_share(wide(behind), OF_ALL, base) / base)
    for name, values in column.items():
        if name.startswith("everybody") and name != "everybody":
            values[known:] = 0.0
    return base


def _share(counts: Floats, prior: float, mean: Floats) -> Floats:
    """Shares of counts to which `prior` events of the mean were added."""
    return np.asarray((counts + prior * mean) / (counts.sum() + prior))


@dataclass(frozen=True)
class Expected:
    """The topics of the next event: `probability` of each name (they add up to 1: how an event's topics share it), and
    by signal what it added to the logarithm, shape (topics, signals)."""

    person: Person
    probability: Floats
    added: Floats

    def share(self, topics: NDArray[np.bool_]) -> float:
        """Of a set of topics, a mask over names."""
        return float(self.probability[topics].sum())

    def named(self, most: int) -> dict[str, float]:
        """The likeliest topics."""
        order = np.argsort(-self.probability, kind="stable")[:most]
        return {self.person.names[row]: round(float(self.probability[row]), 4) for row in order}

    def mover(self, topic: str) -> tuple[str, float]:
        """The signal that speaks most for a topic, and how many times likelier it makes it than the mean topic."""
        row = self.person.names.index(topic)
        over = self.added[row] - self.probability @ self.added
        best = int(over.argmax())
        return SIGNALS[best], float(np.exp(over[best]))


CHANCES = ("expected", "there", "ever", "together", "stays", "surprise")
"""Of a set of topics: log odds of their probability, of the share of events that bore one of them (those of a stretch,
else the latest weighing more; ever), topics an event, log odds of how often events bore a topic of the RECENT ones
before, and -log10 of the chance that the stretch differs by chance (0 where there is none)."""
Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class Calibration(BaseModel):
    """Logistic weights of CHANCES figures that a set of topics has, and a bias."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: Weight
    weights: Annotated[tuple[Weight, ...], Field(min_length=len(CHANCES), max_length=len(CHANCES))]

    def __call__(self, figures: Floats) -> float:
        return float(1 / (1 + np.exp(-(self.bias + figures @ np.array(self.weights)))))


def chances(
    expected: Expected, topics: NDArray[np.bool_], *, inside: NDArray[np.bool_] | None = None, p: float = 1.0
) -> Floats:
    """CHANCES of a set of topics, a mask over names; `inside` are the events of a stretch, `p` its chance."""
    person = expected.person
    held = person.bears(topics).astype(np.float64)
    latest = 0.5 ** (np.arange(person.events)[::-1] / HALF_LIVES[1])
    weight = latest if inside is None else inside.astype(np.float64)
    share = expected.share(topics)
    there = (held @ weight + 2 * share) / (weight.sum() + 2)
    ever = (held.sum() + 2 * share) / (len(held) + 2)
    each = len(person.topic) / max(len(np.unique(person.event)), 1)
    surprise = min(-np.log10(max(p, 1e-3)), 3.0)
    return np.array(
        [_odds(share), _odds(there), _odds(ever), np.log(max(each, 1.0)), _odds(stay_rate(person)), surprise]
    )


def stay_rate(person: Person) -> float:
    """How often the person's events bore a topic of the RECENT ones before; 3 of 4 where little is known."""
    kept = total = 0
    first = max(person.events - 60, RECENT)
    bounds = np.searchsorted(person.event, np.arange(person.events + 1))
    for event in range(first, person.events):
        own = person.topic[bounds[event] : bounds[event + 1]]
        if len(own):
            total += 1
            kept += bool(np.isin(own, person.topic[bounds[event - RECENT] : bounds[event]]).any())
    return (kept + 3) / (total + 4)


def _odds(share: float) -> float:
    inside = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(inside / (1 - inside)))


class Learned(BaseModel):
    """A weight a signal, and calibrations of whether the next event bears a topic of the recent ones (`stays`) or one
    of those that a shift names (`comes`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, Weight]
    stays: Calibration
    comes: Calibration

    def expected(
        self, person: Person, *, at: float | None, situation: Mapping[str, str], habits: TopicHabits | None
    ) -> Expected:
        """The topics of the next event of a person."""
        found = signals(person, at=at, situation=situation, habits=habits)
        added = found * np.array([self.weights.get(name, 0.0) for name in SIGNALS])
        total = added.sum(axis=1)
        raised = np.exp(total - total.max()) if len(total) else total
        return Expected(person, raised / max(float(raised.sum()), 1e-300), added)


class NextTopics(BaseModel):
    """What was learned for people of whose like something is known, and for those of whom their own history is all that
    is known (`alone`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    among: Learned
    alone: Learned
    learned_from: str = ""

    def by(self, habits: TopicHabits | None) -> Learned:
        """What holds where these habits of everybody are known."""
        return self.among if habits else self.alone

    @classmethod
    @cache
    def default(cls) -> Self:
        """What is shipped: learned from several logs (see docs/design.md)."""
        return cls.model_validate_json(resources.files(__package__).joinpath("next_topics.json").read_text("utf-8"))
