"""Where the interest is going: a typed shift, which topics the next event bears, and how surely.

A shift is named where a stretch of the history (this time of the week, this situation, the latest sessions, the one
under way) differs from the rest by more than chance and the interest has to move to be there. Its `confidence` is the
calibrated probability that what is said comes true: that the next event bears one of `to_topics` or, where no shift is
named, one of the topics of the latest events. A stated wish needs no test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.profile.summarise import recent_count
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import CitedEvent, Shift
from whimbrel.agent.shift.change_tests import Stretch, stretches_of
from whimbrel.agent.shift.next_topics import RECENT, Expected, Learned, NextTopics, Person, chances
from whimbrel.prompts.phrases import WORDINGS, Wording
from whimbrel.tools.log.topic_habits import TopicHabits
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.text.encoder import Vectors, encode
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.text.titles import short_titles

LEVEL = 0.03
"""Chance, all tests taken together, below which a stretch is held to differ."""
DOUBT = 0.5
"""Probability that the interest stays, below which nothing is said to stay either."""
TOPICS, OPTIONS, CITED = 3, 8, 5
WISH_SIMILARITY, WISH_SHARE = 0.35, 0.7
"""Cosine that a topic must have with a wish: at least the one, and this share of the nearest topic's."""
WISH_CONFIDENCE, WISH_UNCLEAR = 0.9, 0.5
"""Confidence in a wish, and in one that no topic is near to: it may be a new interest or none."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShiftQuery:
    """The moment and situation that a shift is predicted for.

    Attributes:
        at: Unix seconds of the moment asked about, or None where no times are known.
        context: The situation at that moment, with the wish that the user stated, if any.
        topic_vectors: Unit vectors of the topics that a stated wish may mean, by name. Read only if there is a wish.
        habits: Base rates of topics among all users, counted before `at`. None where no log of other users is known.
    """

    at: float | None
    context: Context = field(default_factory=Context)
    topic_vectors: Mapping[str, Vectors] = field(default_factory=dict)
    habits: TopicHabits | None = None


@dataclass(frozen=True)
class Prediction:
    """The shift; the `topics` of the next event, which share 1, the likeliest first; the probability that it bears
    none of the latest events' topics (`p_topic_change`, None where nothing is known); and what asking the model
    cost."""

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
        query: The moment and situation asked about.
        model: The language model that orders the topics of a shift, if there is one.
        topics: The fitted model of the next topics; by default the one that is shipped.
    """
    at, context, topic_vectors = query.at, query.context, query.topic_vectors
    habits = query.habits if query.habits and query.habits.topics else None
    say, weights = WORDINGS[model.language], (topics or NextTopics.default()).by(habits)
    person = Person.of(history, habits)
    if not len(person.topic):
        if context.query:
            return Prediction(_wished(history, context, topic_vectors, say))
        return Prediction(Shift(kind="none", reason=say.no_topics if history else say.no_history))
    expected = weights.expected(person, at=at, situation=context.situation, habits=habits)
    stays = weights.stays(chances(expected, person.recent()))
    shares, p_topic_change = expected.named(len(expected.probability)), round(1 - stays, 4)
    if context.query:
        return Prediction(_wished(history, context, topic_vectors, say), topics=shares, p_topic_change=p_topic_change)
    found = stretches_of(person, at=at, situation=context.situation, say=say)
    telling = chosen(found)
    if telling is None:
        shift = Shift(
            kind="none",
            to_topics=tuple(list(shares)[:TOPICS]),
            confidence=_rounded(stays),
            evidence=cite(history, list(shares)[:TOPICS]),
            reason=say.gap.join([_unmoved(found, stays, len(history), say), _expects(expected, say)]),
        )
        return Prediction(shift, topics=shares, p_topic_change=p_topic_change)
    named, usage, warnings = _named(history, expected, telling, weights, model)
    return Prediction(named, usage, warnings, shares, p_topic_change)


def chosen(stretches: Sequence[Stretch]) -> Stretch | None:
    """The stretch that a shift is named for: of those that differ by more than chance a habit before a trend, and both
    before what the session does; then the one that stands out most."""
    telling = [one for one in stretches if one.p <= LEVEL and one.moves]
    return max(telling, key=lambda one: (one.habit, one.kind != "contextual", one.strength), default=None)


def rising(person: Person, stretch: Stretch) -> list[int]:
    """Rows of the topics that a stretch holds more of than the rest, those with most of the difference first."""
    gain = stretch.within * np.log((stretch.within + 1e-3) / (stretch.without + 1e-3))
    return [int(row) for row in np.argsort(-gain, kind="stable")[:OPTIONS] if gain[row] > 0]


def _named(
    history: Sequence[Item],
    expected: Expected,
    stretch: Stretch,
    learned: Learned,
    model: ModelAccess,
) -> tuple[Shift, Usage, tuple[str, ...]]:
    say, person, names = WORDINGS[model.language], expected.person, expected.person.names
    rows = rising(person, stretch)
    usage, warnings = Usage(), tuple[str, ...]()
    if model.llm is not None and len(rows) > TOPICS:
        options = [names[row] for row in rows]
        asked = score_options(
            model.llm,
            history=short_titles(history),
            wish="",
            options=options,
            likelihood_cache=model.likelihood_cache,
            language=model.language,
        )
        usage, warnings = asked.usage, asked.warnings
        if asked.values is not None:
            order = -np.arange(len(rows)) / len(rows) + 0.2 * _standard(asked.values)
            rows = [rows[place] for place in np.argsort(-order, kind="stable")]
    rows = rows[:TOPICS]
    falling = np.argsort(stretch.within - stretch.without, kind="stable")[:TOPICS]
    to_topics = tuple(names[row] for row in rows)
    mask = np.zeros(len(names), dtype=bool)
    mask[rows] = True
    confidence = learned.comes(chances(expected, mask, inside=stretch.inside, p=stretch.p))
    told = (say.shifted if len(to_topics) > 1 else say.shifted_to_one).format(
        topics=say.listed(to_topics),
        now=_percent(stretch.within[rows].sum()),
        inside=stretch.words,
        before=_percent(stretch.without[rows].sum()),
        outside=stretch.others,
        less=_percent(1 - stretch.p),
    )
    shift = Shift(
        kind=stretch.kind,
        from_topics=tuple(names[row] for row in falling if stretch.within[row] < stretch.without[row]),
        to_topics=to_topics,
        confidence=_rounded(confidence),
        evidence=cite([item for item, inside in zip(history, stretch.inside, strict=True) if inside], to_topics),
        reason=say.gap.join([told, _expects(expected, say)]),
    )
    return shift, usage, warnings


def _unmoved(found: Sequence[Stretch], stays: float, events: int, say: Wording) -> str:
    """Why no shift is named."""
    if stays < DOUBT:
        return say.doubt.format(moves=_percent(1 - stays), recent=min(RECENT, events))
    if not found:
        return say.too_few.format(count=events)
    least = found[0]
    if least.p <= LEVEL:
        return say.there_already.format(inside=least.words, outside=least.others)
    return say.no_shift.format(
        inside=least.words, outside=least.others, less=_percent(1 - least.p), least=_percent(1 - LEVEL)
    )


def _expects(expected: Expected, say: Wording) -> str:
    """The likeliest topic with its figure and the signal behind it."""
    topic, share = next(iter(expected.named(1).items()))
    signal, factor = expected.mover(topic)
    return say.expects.format(topic=topic, share=_percent(share), signal=say.signals[signal], factor=f"{factor:.1f}")


def _wished(history: Sequence[Item], context: Context, topic_vectors: Mapping[str, Vectors], say: Wording) -> Shift:
    """What was said in words counts, unless the person is there already; what was refused is not wished."""
    wish, refusal = context.query, Refusal.of(context.avoid, topic_vectors)
    to_topics: tuple[str, ...] = ()
    if topic_vectors:
        names = [name for name in sorted(topic_vectors) if not refusal.covers_topic(name)]
    if topic_vectors and names:
        similarity = np.stack([topic_vectors[name] for name in names]) @ encode([wish])[0]
        nearest = np.argsort(-similarity, kind="stable")[:TOPICS]
        least = max(WISH_SIMILARITY, WISH_SHARE * float(similarity.max()))
        to_topics = tuple(names[row] for row in nearest if similarity[row] >= least)
    recent = history[len(history) - recent_count(len(history)) :]
    covered = sum(len(set(item.topics) & set(to_topics)) for item in recent)
    there = covered / max(len(recent) * len(to_topics), 1)
    from_topics = tuple(dict.fromkeys(topic for item in reversed(recent) for topic in item.topics))
    nearest_words = say.nearest.format(topics=say.comma.join(to_topics)) if to_topics else say.none_near
    return Shift(
        kind="contextual",
        from_topics=tuple(topic for topic in from_topics if topic not in to_topics)[:TOPICS],
        to_topics=to_topics,
        confidence=round(WISH_CONFIDENCE * (1 - there), 3) if to_topics else WISH_UNCLEAR,
        evidence=cite(recent, to_topics),
        reason=say.wished.format(wish=wish, nearest=nearest_words, share=_percent(there)),
    )


def cite(events: Sequence[Item], topics: Sequence[str]) -> tuple[CitedEvent, ...]:
    """The latest events, of different items and where possible of these topics, that are in a log."""
    logged = [event for event in reversed(events) if isinstance(event, Interaction)]
    fitting = [event for event in logged if set(event.topics) & set(topics)] or logged
    distinct = {event.item_id: event for event in reversed(fitting)}
    latest = sorted(distinct.values(), key=lambda event: -event.time)[:CITED]
    return tuple(CitedEvent.of(event) for event in latest)


def _rounded(probability: float) -> float:
    """To three places; nothing is certain."""
    return round(min(max(probability, 0.001), 0.999), 3)


def _percent(share: float) -> str:
    """Whole percents, cut: 99.5% is not all."""
    return f"{int(share * 100)}%"


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-9))
