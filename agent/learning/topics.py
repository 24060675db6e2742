"""Fit the models of the next topics: the weights of features, and the calibrations of predicted probabilities.

A training moment is one event of a log. It has what was known about the user before the event, and the event's topics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whimbrel.agent.learning.conditional_logit import Labelled, fit_weights
from whimbrel.agent.shift.change_tests import ChangeTest, rising_topics, run_change_tests, strongest_change
from whimbrel.agent.shift.next_topics import (
    TOPIC_FEATURES,
    TOPIC_SET_FEATURES,
    Calibration,
    NextTopicModel,
    NextTopics,
    TopicDistribution,
    topic_features,
    topic_set_features,
)
from whimbrel.agent.shift.predict import MOST_OPTIONS, MOST_TO_TOPICS
from whimbrel.agent.shift.topic_history import Floats, TopicHistory
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.topic_habits import TopicHabits

START_WEIGHTS = {"ever": 0.5, "lately": 0.3, "everybody": 0.3}
"""Weights that fitting starts from and that the ridge penalty draws towards. All other features have 0."""
RIDGE, CALIBRATION_RIDGE = 1e-3, 1e-2
"""Ridge penalties for the weights and for the calibrations.

A penalty multiplies the squared distance from the start values and is added to the mean loss.
"""
LEAST_MOMENTS = 100
"""Fewest moments that the models are fitted to."""


@dataclass(frozen=True)
class TopicMoment:
    """One event to learn from: what was known before it, and the topics that it had.

    Attributes:
        user: The id of the user.
        history: The user's events before this event.
        at: The time of the event in Unix seconds; None if times are unknown.
        situation: The situation of the event, as keys and values.
        habits: Topic base rates of all users before the event; None if they are unknown.
        label: The topics of the event.
        titles: The latest titles before the event, for a language model.
    """

    user: str
    history: TopicHistory
    at: float | None
    situation: Mapping[str, str]
    habits: TopicHabits | None
    label: frozenset[str]
    titles: tuple[str, ...] = ()

    def label_rows(self) -> list[int]:
        """Return the rows of the label's topics in the history. Topics that the history lacks are left out."""
        row_of = {name: row for row, name in enumerate(self.history.topic_names)}
        return [row_of[topic] for topic in sorted(self.label) if topic in row_of]

    def without_habits(self) -> "TopicMoment":
        """Return the moment as it looks if nothing is known but the history of this user."""
        history = self.history
        own_rows, topic = np.unique(history.pair_topic, return_inverse=True)
        names = tuple(history.topic_names[row] for row in own_rows)
        return replace(
            self, history=replace(history, topic_names=names, pair_topic=topic.astype(np.int64)), habits=None
        )


def fit_next_topics(logs: Sequence[Sequence[TopicMoment]], *, learned_from: str = "", seed: int = 0) -> NextTopics:
    """Fit two models: one with the topic base rates of all users, and one without.

    Weights are fitted to one half of the users and calibrations to the other half. A calibration must not see
    predictions of events that the weights were fitted to.

    Args:
        logs: The moments of each log. Every log counts the same, however many moments it has.
        learned_from: A description of the logs, kept with the models.
        seed: The seed of the split of the users.

    Raises:
        DataError: There are fewer than LEAST_MOMENTS moments.
    """
    count = sum(len(log) for log in logs)
    if count < LEAST_MOMENTS:
        raise DataError(
            f"{count} events with a history before them are too few to learn from; {LEAST_MOMENTS} are needed"
        )
    without_habits = _fit_model([[moment.without_habits() for moment in log] for log in logs], seed)
    known = [[moment for moment in log if moment.habits] for log in logs]
    # If no moment has habits, as with cases, the model without habits serves as both.
    return NextTopics(
        with_habits=_fit_model(known, seed) if any(known) else without_habits,
        without_habits=without_habits,
        learned_from=learned_from,
    )


@dataclass(frozen=True)
class MomentOutcome:
    """What an uncalibrated model predicts for a moment, and whether the prediction came true.

    Attributes:
        predicted: The predicted topics of the event.
        change: The change for which a shift is named; None if no shift is named.
        stay_features: TOPIC_SET_FEATURES for the topics of the latest events.
        stayed: Whether the event had one of the topics of the latest events.
        shift_features: TOPIC_SET_FEATURES for the topics of a change; None if no test could be run.
        shifted: Whether the event had one of the topics of the change.
    """

    predicted: TopicDistribution
    change: ChangeTest | None
    stay_features: Floats
    stayed: bool
    shift_features: Floats | None
    shifted: bool


def outcome_of(model: NextTopicModel, moment: TopicMoment) -> MomentOutcome:
    """Return what a model predicts for a moment, and whether the prediction came true.

    If no shift is named, `shift_features` are those of the most significant test. A calibration must also see changes
    that are not significant.
    """
    history, label = moment.history, moment.label_rows()
    predicted = model.predict(history, at=moment.at, situation=moment.situation, habits=moment.habits)
    recent = history.recent_topics()
    tests = run_change_tests(history, at=moment.at, situation=moment.situation, say=load_phrases("en"))
    change = strongest_change(tests)
    tested = change or next(iter(tests), None)
    shift_features, shifted = None, False
    if tested:
        mask = np.zeros(len(history.topic_names), dtype=bool)
        mask[rising_topics(tested, most=MOST_OPTIONS)[:MOST_TO_TOPICS]] = True
        shift_features = topic_set_features(predicted, mask, inside=tested.inside, p_value=tested.p_value)
        shifted = any(mask[row] for row in label)
    return MomentOutcome(
        predicted=predicted,
        change=change,
        stay_features=topic_set_features(predicted, recent),
        stayed=any(recent[row] for row in label),
        shift_features=shift_features,
        shifted=shifted,
    )


def _fit_model(logs: Sequence[Sequence[TopicMoment]], seed: int) -> NextTopicModel:
    halves = [_halves(log, seed) for log in logs if log]
    weights = _fit_weights([first for first, _ in halves])
    neutral = Calibration(bias=0.0, weights=(0.0,) * len(TOPIC_SET_FEATURES))
    model = NextTopicModel(weights=weights, stay_calibration=neutral, shift_calibration=neutral)
    stays, shifts = [], []
    for _, second in halves:
        outcomes = [outcome_of(model, moment) for moment in second]
        stays.append([(outcome.stay_features, outcome.stayed) for outcome in outcomes])
        shifts.append(
            [(outcome.shift_features, outcome.shifted) for outcome in outcomes if outcome.shift_features is not None]
        )
    return model.model_copy(
        update={"stay_calibration": _fit_calibration(stays), "shift_calibration": _fit_calibration(shifts)}
    )


def _halves(log: Sequence[TopicMoment], seed: int) -> tuple[list[TopicMoment], list[TopicMoment]]:
    """Split the moments of a log into two halves with different users."""
    users = sorted({moment.user for moment in log})
    drawn = set(np.random.default_rng(seed).permutation(len(users))[: (len(users) + 1) // 2].tolist())
    first = {user for number, user in enumerate(users) if number in drawn}
    return [moment for moment in log if moment.user in first], [moment for moment in log if moment.user not in first]


def _features(moment: TopicMoment) -> Floats:
    return topic_features(moment.history, at=moment.at, situation=moment.situation, habits=moment.habits)


def _fit_weights(logs: Sequence[Sequence[TopicMoment]]) -> dict[str, float]:
    """Fit the weights of TOPIC_FEATURES. A moment is left out if its history has none of its topics."""
    labelled = [[Labelled(_features(moment), rows) for moment in log if (rows := moment.label_rows())] for log in logs]
    labelled = [log for log in labelled if log]
    if not labelled:
        return {}
    start = np.array([START_WEIGHTS.get(name, 0.0) for name in TOPIC_FEATURES])
    # No weight may be negative. A feature either speaks for a topic or has no effect.
    weights = fit_weights(labelled, start, ridge=RIDGE, bound=0.0)
    return {name: round(float(weight), 4) for name, weight in zip(TOPIC_FEATURES, weights, strict=True)}


def _fit_calibration(logs: Sequence[Sequence[tuple[Floats, bool]]]) -> Calibration:
    """Fit a logistic regression by maximum likelihood.

    Args:
        logs: One list per log, with one pair per moment: TOPIC_SET_FEATURES, and whether the event had a topic of
            the set.

    Returns:
        The calibration. If there are no moments, it returns the predicted probability unchanged.
    """
    from scipy.optimize import minimize

    filled = [log for log in logs if log]
    if not filled:
        return Calibration(bias=0.0, weights=(1.0, *[0.0] * (len(TOPIC_SET_FEATURES) - 1)))
    features = np.concatenate([np.stack([row for row, _ in log]) for log in filled])
    label = np.concatenate([np.array([holds for _, holds in log], dtype=np.float64) for log in filled])
    moment_weight = np.concatenate([np.full(len(log), 1 / len(log) / len(filled)) for log in filled])
    columns = np.column_stack([np.ones(len(features)), features])
    start = np.zeros(columns.shape[1])
    start[1] = 1.0  # weight of the predicted log odds: without evidence, the prediction stays unchanged

    def loss(weights: Floats) -> tuple[float, Floats]:
        total = columns @ weights
        pull = weights - start
        pull[0] = 0.0  # the bias is not penalised
        error = np.logaddexp(0.0, total) - label * total
        value = float(moment_weight @ error) + CALIBRATION_RIDGE * float(pull @ pull)
        slope = columns.T @ (moment_weight * (1 / (1 + np.exp(-total)) - label)) + 2 * CALIBRATION_RIDGE * pull
        return value, slope

    best: Any = minimize(loss, start, jac=True, method="L-BFGS-B")
    rounded = [round(float(value), 4) for value in best.x]
    return Calibration(bias=rounded[0], weights=tuple(rounded[1:]))
