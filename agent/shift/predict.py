"""Predict the shift of interest: its kind, the topics of the next event, and a calibrated confidence.

A segment of the history is the events at this time of the week, the events in this situation, the latest sessions or
the open session. A shift is named if two conditions hold: a segment differs from the rest by more than chance, and the
interest has to move to be there.

The `confidence` of a shift is the probability that the next event has one of `to_topics`. If no shift is named,
`confidence` is the probability that the next event has one of the topics of the latest events. A wish that the user
stated needs no test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.profile.summarise import recent_count
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import CitedEvent, Shift
from whimbrel.agent.shift.change_tests import (
    SIGNIFICANCE_LEVEL,
    ChangeTest,
    rising_topics,
    run_change_tests,
    strongest_change,
)
from whimbrel.agent.shift.next_topics import NextTopicModel, NextTopics, TopicDistribution, topic_set_features
from whimbrel.agent.shift.story import tell_story
from whimbrel.agent.shift.topic_history import RECENT_EVENTS, TopicHistory
from whimbrel.prompts.phrases import Phrases, load_phrases
from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.text.titles import short_titles

LEAST_LIKELY = 0.1
"""The reason names the likeliest topic if its probability is at least this. Below it, many topics are about as
likely."""
ABSTAIN_BELOW = 0.5
"""If no shift is named and the probability that the interest stays is below this, the reason says that it may move."""
MOST_TO_TOPICS, MOST_OPTIONS, MOST_CITED = 3, 8, 5
"""Most topics that a shift names, most topics that the language model orders for it, and most events cited as
evidence."""
LLM_ORDER_WEIGHT = 0.2
"""One standard deviation of the language model's scores moves a topic by this share of all places."""
WISH_SIMILARITY, WISH_SHARE = 0.35, 0.7
"""A wish means a topic if their cosine is at least WISH_SIMILARITY and at least WISH_SHARE of the highest cosine."""
WISH_CONFIDENCE, UNCLEAR_WISH_CONFIDENCE = 0.9, 0.5
"""Confidence in a wish that is close to a topic, and in a wish that is close to none. Both are set by hand, because no
measured log records both a wish and its outcome (docs/evaluation.md)."""


@dataclass(frozen=True)
class ShiftQuery:
    """The moment and situation that a shift is predicted for.

    Attributes:
        at: The moment in Unix seconds, or None if no times are known.
        context: The situation at that moment, with the user's stated wish, if any.
        topic_vectors: Unit vectors of the topics that a stated wish may mean, keyed by topic. They are only read if
            there is a wish.
        encoder: The encoder of these vectors.
        habits: Topic base rates of all users, counted before `at`. None if no log of other users is known.
    """

    at: float | None
    context: Context = field(default_factory=Context)
    topic_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    encoder: TextEncoder = ENGLISH
    habits: TopicHabits | None = None


@dataclass(frozen=True)
class Prediction:
    """A predicted shift and what it rests on.

    Attributes:
        shift: The shift of interest. Its kind is `none` if no shift is named.
        usage: What the calls of the language model cost.
        warnings: What went wrong during the prediction, in words.
        topics: The probability of each topic of the next event, the likeliest first. They add up to about 1. Empty if
            no event of the history has a topic.
        p_topic_change: The probability that the next event has none of the latest events' topics. None if `topics` is
            empty.
    """

    shift: Shift
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    topics: Mapping[str, float] = field(default_factory=dict)
    p_topic_change: float | None = None


def predict_shift(
    history: Sequence[Item],
    query: ShiftQuery,
    *,
    model: ModelAccess = NO_MODEL,
    topics: NextTopics | None = None,
) -> Prediction:
    """Predict the shift of interest at the end of a history.

    Args:
        history: Events in order of time, the latest last. May be empty.
        query: The moment and the situation to predict for.
        model: The language model that orders the topics of a shift, if there is one.
        topics: The fitted models of the next topics. The default is the pair that is shipped.

    Example:
        >>> tea = [Item(title=f"Tea {day}", topics=("Tea",), time=86400.0 * day) for day in range(30)]
        >>> prediction = predict_shift(tea, ShiftQuery(at=86400.0 * 30))
        >>> prediction.shift.kind, prediction.shift.to_topics
        ('none', ('Tea',))
    """
    context = query.context
    # Habits without topics come from an empty log. Only the user's own history is known then.
    habits = query.habits if query.habits and query.habits.topics else None
    say = load_phrases(model.language, habits.zone if habits else model.zone)
    next_topics = (topics or NextTopics.default()).model_for(habits)
    arrays = TopicHistory.of(history, habits, zone=say.zone)
    if not len(arrays.pair_topic):
        if context.query:
            return Prediction(_shift_to_wish(history, query, say))
        return Prediction(Shift(kind="none", reason=say.shift.no_topics if history else say.shift.no_history))
    at = arrays.local(query.at)
    predicted = next_topics.predict(arrays, at=at, situation=context.situation, habits=habits)
    p_stay = next_topics.stay_calibration.probability(topic_set_features(predicted, arrays.recent_topics()))
    probabilities, p_topic_change = predicted.likeliest(len(predicted.probability)), round(1 - p_stay, 4)
    usage, warnings = NO_USAGE, tuple[str, ...]()
    if context.query:  # what the user says now counts more than any test of the past
        shift = _shift_to_wish(history, query, say)
    else:
        tests = run_change_tests(arrays, at=at, situation=context.situation, say=say)
        change = strongest_change(tests)
        if change is None:
            shift = _no_shift(history, predicted, tests, p_stay, say)
        else:
            rows, usage, warnings = _ordered_topics(history, arrays, change, model)
            shift = _shift_to(rows[:MOST_TO_TOPICS], history, change, predicted, next_topics, say)
    return Prediction(shift, usage, warnings, probabilities, p_topic_change)


def _no_shift(
    history: Sequence[Item], predicted: TopicDistribution, tests: Sequence[ChangeTest], p_stay: float, say: Phrases
) -> Shift:
    """Return the shift of kind `none`, with the likeliest topics and the reason why no shift is named."""
    to_topics = tuple(predicted.likeliest(MOST_TO_TOPICS))
    return Shift(
        kind="none",
        to_topics=to_topics,
        confidence=_as_confidence(p_stay),
        evidence=cite(history, to_topics),
        reason=say.writing.sentence_gap.join(
            [_why_no_shift(predicted.history, tests, p_stay, say), *_likeliest_topic(predicted, say)]
        ),
    )


def _ordered_topics(
    history: Sequence[Item], arrays: TopicHistory, change: ChangeTest, model: ModelAccess
) -> tuple[list[int], Usage, tuple[str, ...]]:
    """Return the rows of the topics that a change leads to, ordered by their rise and by the language model."""
    rows = rising_topics(change, most=MOST_OPTIONS)
    # With so few options, all are named in any case. A model that orders reads the person and names topics itself.
    if model.llm is None or model.orders or len(rows) <= MOST_TO_TOPICS:
        return rows, NO_USAGE, ()
    scores = score_options(
        model.llm,
        history=short_titles(history),
        wish="",
        options=[arrays.topic_names[row] for row in rows],
        likelihood_cache=model.likelihood_cache,
        language=model.language,
    )
    if scores.values is not None:
        rank_score = -np.arange(len(rows)) / len(rows) + LLM_ORDER_WEIGHT * standardise(scores.values)
        rows = [rows[position] for position in np.argsort(-rank_score, kind="stable")]
    return rows, scores.usage, scores.warnings


def _shift_to(
    rows: Sequence[int],
    history: Sequence[Item],
    change: ChangeTest,
    predicted: TopicDistribution,
    next_topics: NextTopicModel,
    say: Phrases,
) -> Shift:
    """Return the shift that a change test shows, to the topics in these rows."""
    names = predicted.history.topic_names
    story = tell_story(predicted.history, change, rows, say, most=MOST_TO_TOPICS)
    to_topics = tuple(names[row] for row in story.to_rows)
    mask = np.zeros(len(names), dtype=bool)
    mask[list(story.to_rows)] = True
    confidence = next_topics.shift_calibration.probability(
        topic_set_features(predicted, mask, inside=change.inside, p_value=change.p_value)
    )
    return Shift(
        kind=change.kind,
        from_topics=tuple(names[row] for row in story.from_rows),
        to_topics=to_topics,
        confidence=_as_confidence(confidence),
        evidence=cite([item for item, inside in zip(history, change.inside, strict=True) if inside], to_topics),
        reason=say.writing.sentence_gap.join([*story.sentences, *_likeliest_topic(predicted, say)]),
    )


def _why_no_shift(history: TopicHistory, tests: Sequence[ChangeTest], p_stay: float, say: Phrases) -> str:
    """Return the sentence that says why no shift is named."""
    if p_stay < ABSTAIN_BELOW:
        return say.shift.doubt.format(moves=_percent(1 - p_stay), count=min(RECENT_EVENTS, history.event_count))
    if not tests:
        return say.shift.too_few.format(count=history.event_count)
    most_significant = tests[0]
    if most_significant.p_value <= SIGNIFICANCE_LEVEL:
        rows = rising_topics(most_significant, most=MOST_TO_TOPICS)
        story = tell_story(history, most_significant, rows, say, most=MOST_TO_TOPICS)
        return say.writing.sentence_gap.join([say.shift.there_already, story.sentences[0]])
    return say.shift.no_shift.format(inside=most_significant.words_inside, outside=most_significant.words_outside)


def _likeliest_topic(predicted: TopicDistribution, say: Phrases) -> list[str]:
    """Return the sentence that names the likeliest topic, its probability and the feature behind it.

    Returns:
        No sentence if even the likeliest topic is not likely.
    """
    topic, share = next(iter(predicted.likeliest(1).items()))
    feature, _ = predicted.strongest_feature(topic)
    sentence = say.shift.expects.format(topic=topic, share=_percent(share), signal=say.shift.signals[feature])
    return [sentence] if share >= LEAST_LIKELY else []


def _shift_to_wish(history: Sequence[Item], query: ShiftQuery, say: Phrases) -> Shift:
    """Return the shift to what the user asked for. Topics that the user refused are left out.

    The more of the wish the recent events already cover, the lower is the confidence.
    """
    context, topic_vectors = query.context, query.topic_vectors
    refusal = Refusal.of(context.avoid, topic_vectors, query.encoder)
    to_topics: tuple[str, ...] = ()
    names = [name for name in sorted(topic_vectors) if not refusal.covers_topic(name)]
    if names:
        similarity = np.stack([topic_vectors[name] for name in names]) @ query.encoder.encode([context.query])[0]
        nearest = np.argsort(-similarity, kind="stable")[:MOST_TO_TOPICS]
        least = max(WISH_SIMILARITY, WISH_SHARE * float(similarity.max()))
        to_topics = tuple(names[row] for row in nearest if similarity[row] >= least)
    recent = history[len(history) - recent_count(len(history)) :]
    matches = sum(len(set(item.topics) & set(to_topics)) for item in recent)
    covered = matches / max(len(recent) * len(to_topics), 1)
    recent_topics = tuple(dict.fromkeys(topic for item in reversed(recent) for topic in item.topics))
    nearest_words = (
        say.shift.nearest_topics.format(topics=say.writing.comma.join(to_topics))
        if to_topics
        else say.shift.no_topic_near
    )
    return Shift(
        kind="contextual",
        from_topics=tuple(topic for topic in recent_topics if topic not in to_topics)[:MOST_TO_TOPICS],
        to_topics=to_topics,
        confidence=round(WISH_CONFIDENCE * (1 - covered), 3) if to_topics else UNCLEAR_WISH_CONFIDENCE,
        evidence=cite(recent, to_topics),
        reason=say.shift.wished.format(wish=context.query, nearest=nearest_words, share=_percent(covered)),
    )


def cite(events: Sequence[Item], topics: Sequence[str]) -> tuple[CitedEvent, ...]:
    """Return the latest events as evidence, the latest first and each item once.

    Only events of a log can be cited. If some of them have one of the topics, only those events are cited.
    """
    logged = [event for event in reversed(events) if isinstance(event, Interaction)]
    # If no event has one of the topics, any event of the log is better evidence than none.
    fitting = [event for event in logged if set(event.topics) & set(topics)] or logged
    # The latest event of each item is entered last, so it is the one that stays.
    distinct = {event.item_id: event for event in reversed(fitting)}
    latest = sorted(distinct.values(), key=lambda event: -event.time)[:MOST_CITED]
    return tuple(CitedEvent.of(event) for event in latest)


def _as_confidence(probability: float) -> float:
    """Round a probability to three places, but never to 0 or 1."""
    return round(min(max(probability, 0.001), 0.999), 3)


def _percent(share: float) -> str:
    """Return whole percents, cut off and not rounded, so that 99.5% does not become 100%."""
    return f"{int(share * 100)}%"
