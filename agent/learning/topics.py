"""Learning which signals tell the topics of the next event, and how sure one may be, from moments of a log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.shift.change_tests import Stretch, stretches_of
from whimbrel.agent.shift.next_topics import (
    CHANCES,
    SIGNALS,
    Calibration,
    Expected,
    Learned,
    NextTopics,
    Person,
    chances,
    signals,
)
from whimbrel.agent.shift.predict import TOPICS, chosen, rising
from whimbrel.prompts.phrases import WORDINGS
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.topic_habits import TopicHabits

Floats = NDArray[np.float64]
RIDGE = 1e-3
"""How much weights are drawn to START, as a share of the loss."""
START = {"ever": 0.5, "lately": 0.3, "everybody": 0.3}
CALIBRATION_RIDGE = 1e-2
LEAST_MOMENTS = 100


@dataclass(frozen=True)
class TopicMoment:
    """What was known of a person at a moment, with the latest titles, and the topics that the next event bore
    (`came`)."""

    user: str
    person: Person
    at: float | None
    situation: Mapping[str, str]
    habits: TopicHabits | None
    came: frozenset[str]
    titles: tuple[str, ...] = ()

    def rows(self, person: Person) -> list[int]:
        """The rows of what came among a person's names."""
        position = {name: row for row, name in enumerate(person.names)}
        return [position[topic] for topic in sorted(self.came) if topic in position]

    def alone(self) -> "TopicMoment":
        """The same, as if nothing were known of everybody: the person's own topics only."""
        person = self.person
        own, topic = np.unique(person.topic, return_inverse=True)
        names = tuple(person.names[row] for row in own)
        return replace(self, person=replace(person, names=names, topic=topic.astype(np.int64)), habits=None)


def learn(moments: Sequence[Sequence[TopicMoment]], *, learned_from: str = "", seed: int = 0) -> NextTopics:
    """From the moments of one or several logs, each counting the same; weights come from half of the people,
    calibrations from the other half.

    Raises:
        DataError: fewer than LEAST_MOMENTS moments.
    """
    total = sum(len(log) for log in moments)
    if total < LEAST_MOMENTS:
        raise DataError(
            f"{total} events with a history before them are too few to learn from; {LEAST_MOMENTS} are needed"
        )
    alone = _learned([[moment.alone() for moment in log] for log in moments], seed)
    known = [[moment for moment in log if moment.habits] for log in moments]
    return NextTopics(among=_learned(known, seed) if any(known) else alone, alone=alone, learned_from=learned_from)


def _learned(moments: Sequence[Sequence[TopicMoment]], seed: int) -> Learned:
    halves = [_halves(log, seed) for log in moments if log]
    weights = _logit([[(_signals(moment), moment.rows(moment.person)) for moment in first] for first, _ in halves])
    neutral = Calibration(bias=0.0, weights=(0.0,) * len(CHANCES))
    found = Learned(weights=weights, stays=neutral, comes=neutral)
    stay, come = [], []
    for _, second in halves:
        told = [figures_of(found, moment) for moment in second]
        stay.append([(figures.stays, figures.stayed) for figures in told])
        come.append([(figures.comes, figures.came) for figures in told if figures.comes is not None])
    return found.model_copy(update={"stays": _logistic(stay), "comes": _logistic(come)})


@dataclass(frozen=True)
class Figures:
    """CHANCES of the latest topics and of those that the most telling stretch moves to, and whether they came; `named`
    is the stretch that a shift is named for."""

    expected: Expected
    named: Stretch | None
    stays: Floats
    stayed: bool
    comes: Floats | None
    came: bool


def figures_of(learned: Learned, moment: TopicMoment) -> Figures:
    """What a moment shows: of stretches the most telling one, whether or not it differs by more than chance."""
    person, names = moment.person, moment.person.names
    expected = learned.expected(person, at=moment.at, situation=moment.situation, habits=moment.habits)
    recent = person.recent()
    found = stretches_of(person, at=moment.at, situation=moment.situation, say=WORDINGS["en"])
    named = chosen(found)
    stretch = named or next(iter(found), None)
    comes, came = None, False
    if stretch:
        mask = np.zeros(len(names), dtype=bool)
        mask[rising(person, stretch)[:TOPICS]] = True
        comes = chances(expected, mask, inside=stretch.inside, p=stretch.p)
        came = any(mask[row] for row in moment.rows(person))
    stayed = any(recent[row] for row in moment.rows(person))
    return Figures(expected, named, chances(expected, recent), stayed, comes, came)


def _halves(log: Sequence[TopicMoment], seed: int) -> tuple[list[TopicMoment], list[TopicMoment]]:
    users = sorted({moment.user for moment in log})
    first = set(np.random.default_rng(seed).permutation(len(users))[: (len(users) + 1) // 2].tolist())
    chosen = {user for number, user in enumerate(users) if number in first}
    return [m for m in log if m.user in chosen], [m for m in log if m.user not in chosen]


def _signals(moment: TopicMoment) -> Floats:
    return signals(moment.person, at=moment.at, situation=moment.situation, habits=moment.habits)


def _logit(logs: Sequence[Sequence[tuple[Floats, list[int]]]]) -> dict[str, float]:
    """Weights of signals by maximum likelihood of the topics that came (each event's share 1, each log the same)."""
    from scipy.optimize import minimize

    told = [[(found, rows) for found, rows in log if rows] for log in logs]
    told = [log for log in told if log]
    start = np.array([START.get(name, 0.0) for name in SIGNALS])

    def loss(weights: Floats) -> tuple[float, Floats]:
        value, slope = RIDGE * float(((weights - start) ** 2).sum()), 2 * RIDGE * (weights - start)
        for log in told:
            for found, rows in log:
                total = found @ weights
                raised = np.exp(total - total.max())
                probability = raised / raised.sum()
                value -= float(np.log(probability[rows] + 1e-300).mean()) / len(log) / len(told)
                slope -= (found[rows].mean(axis=0) - probability @ found) / len(log) / len(told)
        return value, slope

    bounds = [(0.0, None)] * len(start)  # a signal speaks for a topic or says nothing
    best: Any = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 100})
    return {name: round(float(weight), 4) for name, weight in zip(SIGNALS, best.x, strict=True) if told}


def _logistic(logs: Sequence[Sequence[tuple[Floats, bool]]]) -> Calibration:
    """Weights of figures by maximum likelihood of what came, each log counting the same."""
    from scipy.optimize import minimize

    told = [log for log in logs if log]
    if not told:
        return Calibration(bias=0.0, weights=(1.0, *[0.0] * (len(CHANCES) - 1)))
    figures = np.concatenate([np.stack([f for f, _ in log]) for log in told])
    truth = np.concatenate([np.array([came for _, came in log], dtype=np.float64) for log in told])
    weight = np.concatenate([np.full(len(log), 1 / len(log) / len(told)) for log in told])
    columns = np.column_stack([np.ones(len(figures)), figures])
    start = np.zeros(columns.shape[1])
    start[1] = 1.0

    def loss(weights: Floats) -> tuple[float, Floats]:
        total = columns @ weights
        pull = weights - start
        pull[0] = 0.0
        value = float(weight @ (np.logaddexp(0.0, total) - truth * total)) + CALIBRATION_RIDGE * float(pull @ pull)
        slope = columns.T @ (weight * (1 / (1 + np.exp(-total)) - truth)) + 2 * CALIBRATION_RIDGE * pull
        return value, slope

    best: Any = minimize(loss, start, jac=True, method="L-BFGS-B")
    rounded = [round(float(value), 4) for value in best.x]
    return Calibration(bias=rounded[0], weights=tuple(rounded[1:]))
