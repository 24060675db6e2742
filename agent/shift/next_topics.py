"""Predict a probability for each topic of a user's next event, from named features.

Each feature says, in nats, how much likelier it makes a topic than the topic's mean share. The mean is taken over the
user's events or over the events of all users. A conditional logit (McFadden, 1974) weighs the features and adds them
up, so every probability can be traced to its features. Logistic calibrations then give the probability that the next
event has any topic of a set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.shift.topic_history import RECENT_EVENTS, Floats, Mask, TopicHistory
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.timestamps import hour_of, is_weekend

TOPIC_FEATURES = (
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
"""Features of a topic.

`ever` is the logarithm of the topic's share among all events of the user. `everybody` is the logarithm of its share
among the events of all users. Each other feature compares one of these shares with the share in a part of the events:
the latest events, the open session, this hour, this part of the week, this situation, or the events that followed the
last event's topics. The names are keys of `next_topics.json` and of the phrases that explain a prediction."""

HALF_LIVES = (20.0, 4.0)
"""Half-lives in events: an event this number of events ago counts half, for `lately` and for `last event`."""
HOURS_APART = 4
"""Events at least this number of hours of the day apart do not count towards each other's hour."""
STAY_RATE_EVENTS = 60
"""Number of latest events over which `stay_rate` is counted."""
USER_PRIOR_EVENTS, ALL_USERS_PRIOR_EVENTS = 4.0, 30.0
"""Events of the mean distribution that are added to observed counts, so that a few events change a share only a
little."""


def topic_features(
    history: TopicHistory, *, at: float | None, situation: Mapping[str, str], habits: TopicHabits | None
) -> Floats:
    """Compute the TOPIC_FEATURES of every topic.

    Args:
        history: The user's events before the moment.
        at: The moment in Unix seconds. If it is None, the features of the hour and the weekend stay 0.
        situation: The situation at the moment, as keys and values.
        habits: Topic base rates of all users before the moment. If it is None, their features stay 0.

    Returns:
        Shape (topics, features), in nats.
    """
    size = len(history.topic_names)
    features = np.zeros((size, len(TOPIC_FEATURES)))
    column = {name: features[:, number] for number, name in enumerate(TOPIC_FEATURES)}
    base = np.full(size, 1.0 / max(size, 1))
    if habits:
        base = _fill_habit_features(column, history, at, situation, habits)
    age = np.arange(history.event_count)[::-1].astype(np.float64)
    ever = _smoothed_share(history.topic_counts(np.ones(history.event_count)), USER_PRIOR_EVENTS, base)
    column["ever"][:] = np.log(ever)

    def difference(event_weights: Floats, prior: float = USER_PRIOR_EVENTS) -> Floats:
        share = _smoothed_share(history.topic_counts(event_weights), prior, ever)
        return np.asarray(np.log(share / ever))

    for name, half_life in zip(("lately", "last event"), HALF_LIVES, strict=True):
        column[name][:] = difference(0.5 ** (age / half_life), USER_PRIOR_EVENTS / 2)
    session = history.open_session(at)
    column["session"][:] = difference(session.astype(np.float64), USER_PRIOR_EVENTS / 2)
    if at is not None and history.times is not None:
        # The open session is left out, because its events lie at this hour anyway and do not show a habit.
        hours_apart = np.abs(hour_of(history.times) - hour_of(np.array([at])))
        nearness = np.maximum(1 - np.minimum(hours_apart, 24 - hours_apart) / HOURS_APART, 0.0)
        column["hour"][:] = difference(nearness * ~session)
        same_part = is_weekend(history.times) == is_weekend(np.array([at]))
        column["weekend"][:] = difference(same_part * ~session * 1.0)
    for key, value in situation.items():
        same = np.array([other.get(key) == value for other in history.situations], dtype=np.float64)
        if 0 < same.sum() < len(same):  # a value that all events or no events have favours no topic
            column["situation"][:] += difference(same)
    if history.event_count > 1:
        last_topics = np.zeros(size, dtype=bool)
        last_topics[history.topics_of(history.event_count - 1)] = True
        followers = np.append(False, history.events_with(last_topics)[:-1]).astype(np.float64)
        column["sequence"][:] = difference(followers)
    return features


def _fill_habit_features(
    column: Mapping[str, Floats],
    history: TopicHistory,
    at: float | None,
    situation: Mapping[str, str],
    habits: TopicHabits,
) -> Floats:
    """Fill the columns of all users' features, and return the share of each topic among all events."""
    size, known = len(history.topic_names), len(habits.topics)

    def padded(counts: Floats) -> Floats:
        return np.concatenate([counts, np.zeros(size - known)])

    base = _smoothed_share(padded(habits.totals), 1.0, np.full(size, 1.0 / max(size, 1)))
    # A topic that no other user has counts as common as the mean topic, because nothing else is known about it. With
    # weights from other logs, this lowered the log loss on Last.fm from 6.946 to 6.211
    # (docs/evaluation/shift-and-migration.md).
    base[known:] = base[:known].mean()
    base /= base.sum()

    def difference(counts: Floats) -> Floats:
        return np.asarray(np.log(_smoothed_share(padded(counts), ALL_USERS_PRIOR_EVENTS, base) / base))

    column["everybody"][:] = np.log(base)
    column["everybody lately"][:] = difference(habits.recent)
    if at is not None and history.times is not None:
        hour = int(hour_of(np.array([at]))[0])
        near = sum(
            habits.hours[(hour + step) % 24] * (1 - abs(step) / HOURS_APART)
            for step in range(1 - HOURS_APART, HOURS_APART)
        )
        column["everybody's hour"][:] = difference(np.asarray(near))
        column["everybody's weekend"][:] = difference(habits.weekend[int(is_weekend(np.array([at]))[0])])
    for pair in situation.items():
        if pair in habits.situations:
            column["everybody's situation"][:] += difference(habits.situations[pair])
    if history.event_count:
        last_topics = history.topics_of(history.event_count - 1)
        followers = habits.next_topic[last_topics[last_topics < known]].sum(axis=0).astype(np.float64)
        column["everybody's sequence"][:] = difference(followers)
    # The counts of all users hold nothing about topics that only this user has.
    for name, values in column.items():
        if name.startswith("everybody") and name != "everybody":
            values[known:] = 0.0
    return base


def _smoothed_share(counts: Floats, prior_events: float, mean: Floats) -> Floats:
    """Return the shares of counts after `prior_events` events of the mean distribution were added."""
    return np.asarray((counts + prior_events * mean) / (counts.sum() + prior_events))


@dataclass(frozen=True)
class TopicDistribution:
    """The predicted topics of the next event.

    Attributes:
        history: The events that the prediction rests on.
        probability: The probability of each topic, shape (topics,). They add up to 1, since an event with several
            topics counts as a fraction for each.
        contributions: What each feature adds to the logarithm of each topic's probability, shape (topics, features).
    """

    history: TopicHistory
    probability: Floats
    contributions: Floats

    def probability_of(self, topics: Mask) -> float:
        """Return the total probability of a set of topics, given as a mask over topics."""
        return float(self.probability[topics].sum())

    def likeliest(self, count: int) -> dict[str, float]:
        """Return the `count` likeliest topics with their probabilities, the likeliest first."""
        order = np.argsort(-self.probability, kind="stable")[:count]
        return {self.history.topic_names[row]: round(float(self.probability[row]), 4) for row in order}

    def strongest_feature(self, topic: str) -> tuple[str, float]:
        """Return the feature that raises a topic most above the mean topic, and the factor by which it does so."""
        row = self.history.topic_names.index(topic)
        above_mean = self.contributions[row] - self.probability @ self.contributions
        strongest = int(above_mean.argmax())
        return TOPIC_FEATURES[strongest], float(np.exp(above_mean[strongest]))


TOPIC_SET_FEATURES = (
    "log odds of the probability",
    "log odds of the share inside",
    "log odds of the share ever",
    "log of topics an event",
    "log odds of staying",
    "minus log10 of the p-value",
)
"""Features of a set of topics. A calibration computes from them the probability that the next event has one of the
topics.

The second feature is the share of a segment's events that have one of the topics. Without a segment, it is the share
among all events, of which the latest weigh more. The fifth is `stay_rate`. The last is 0 if no change test belongs to
the set."""

Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class Calibration(BaseModel):
    """A logistic regression on TOPIC_SET_FEATURES: a bias, and a weight for each feature."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: Weight
    weights: Annotated[
        tuple[Weight, ...], Field(min_length=len(TOPIC_SET_FEATURES), max_length=len(TOPIC_SET_FEATURES))
    ]

    def probability(self, features: Floats) -> float:
        """Return the probability for one set of topics, from its features of shape (TOPIC_SET_FEATURES,)."""
        return float(1 / (1 + np.exp(-(self.bias + features @ np.array(self.weights)))))


def topic_set_features(
    predicted: TopicDistribution, topics: Mask, *, inside: Mask | None = None, p_value: float = 1.0
) -> Floats:
    """Compute the TOPIC_SET_FEATURES of a set of topics.

    Args:
        predicted: The topics of the next event.
        topics: The set, as a mask over topics.
        inside: The events of the segment that the set comes from, as a mask over events. None if there is no segment.
        p_value: The p-value of that segment's change test.
    """
    history = predicted.history
    has_topic = history.events_with(topics).astype(np.float64)
    latest = 0.5 ** (np.arange(history.event_count)[::-1] / HALF_LIVES[1])
    weights = latest if inside is None else inside.astype(np.float64)
    probability = predicted.probability_of(topics)
    # Two events at the predicted probability are added, so that the share of a few events is not extreme.
    share_inside = (has_topic @ weights + 2 * probability) / (weights.sum() + 2)
    share_ever = (has_topic.sum() + 2 * probability) / (len(has_topic) + 2)
    topics_per_event = len(history.pair_topic) / max(len(np.unique(history.pair_event)), 1)
    # A p-value below 1 in 1000 counts as 1 in 1000, because permutations cannot measure it.
    surprise = min(-np.log10(max(p_value, 1e-3)), 3.0)
    return np.array(
        [
            _log_odds(probability),
            _log_odds(share_inside),
            _log_odds(share_ever),
            np.log(max(topics_per_event, 1.0)),
            _log_odds(stay_rate(history)),
            surprise,
        ]
    )


def stay_rate(history: TopicHistory) -> float:
    """Return how often the latest events had a topic of the RECENT_EVENTS events before them."""
    first = max(history.event_count - STAY_RATE_EVENTS, RECENT_EVENTS)
    read = history.pair_event >= first - RECENT_EVENTS
    topic, event = history.pair_topic[read], history.pair_event[read]
    by_topic = np.lexsort((event, topic))
    topic, event = topic[by_topic], event[by_topic]
    # Of each topic, its events follow each other. It stays if the event before lies near.
    stays = (np.diff(topic) == 0) & (np.diff(event) <= RECENT_EVENTS)
    observed = len(np.unique(event[event >= first]))
    stayed = len(np.unique(event[1:][stays & (event[1:] >= first)]))
    return (stayed + 3) / (observed + 4)  # 3 of 4 if nothing is observed


def _log_odds(share: float) -> float:
    inside = min(max(share, 1e-3), 1 - 1e-3)
    return float(np.log(inside / (1 - inside)))


class NextTopicModel(BaseModel):
    """A fitted model of the next event's topics.

    In JSON the calibrations keep the keys `stays` and `comes`.

    Attributes:
        weights: The weight of each feature, keyed by its name in TOPIC_FEATURES. The weight of an absent name is 0.
        stay_calibration: Gives the probability that the next event has a topic of the latest RECENT_EVENTS events.
        shift_calibration: Gives the probability that the next event has one of the topics that a shift names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)

    weights: dict[str, Weight]
    stay_calibration: Annotated[Calibration, Field(alias="stays")]
    shift_calibration: Annotated[Calibration, Field(alias="comes")]

    def predict(
        self, history: TopicHistory, *, at: float | None, situation: Mapping[str, str], habits: TopicHabits | None
    ) -> TopicDistribution:
        """Predict the topics of the next event. It takes the arguments of `topic_features`."""
        features = topic_features(history, at=at, situation=situation, habits=habits)
        contributions = features * np.array([self.weights.get(name, 0.0) for name in TOPIC_FEATURES])
        total = contributions.sum(axis=1)
        raised = np.exp(total - total.max()) if len(total) else total  # the maximum is subtracted to avoid overflow
        return TopicDistribution(history, raised / max(float(raised.sum()), 1e-300), contributions)


class NextTopics(BaseModel):
    """Two fitted models: one for users of a log, and one for users whose history is all that is known.

    In JSON they keep the keys `among` and `alone`.

    Attributes:
        with_habits: The model that also reads the topic base rates of all users.
        without_habits: The model that only reads the user's own history.
        learned_from: The logs that the models were fitted to, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)

    with_habits: Annotated[NextTopicModel, Field(alias="among")]
    without_habits: Annotated[NextTopicModel, Field(alias="alone")]
    learned_from: str = ""

    def model_for(self, habits: TopicHabits | None) -> NextTopicModel:
        """Return the model to use with these topic base rates, or without any."""
        return self.with_habits if habits else self.without_habits

    @classmethod
    @cache
    def default(cls) -> Self:
        """Return the models that are shipped.

        `whimbrel eval defaults topics` fitted them to the first parts of five logs (docs/stages/predict-the-shift.md).
        """
        return cls.model_validate_json(resources.files(__package__).joinpath("next_topics.json").read_text("utf-8"))
