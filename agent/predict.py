"""Where the interest is going: a typed shift, tested against the person's own past.

A stretch of events (the latest ones; those at this hour and kind of day; those in this situation) shifts the interest
if its topics differ from the rest of the history more than comparable stretches do. The share of comparable
stretches that differ less is the confidence; below `THRESHOLD` nothing is named. A stated wish needs no test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.context import Context
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.results import CitedEvent, Shift, ShiftKind
from whimbrel.agent.summarise import count_topics, recent_count, short_titles
from whimbrel.agent.weigh import Priors, weigh
from whimbrel.agent.wording import WORDINGS, Language, Wording
from whimbrel.tools.encoder import Vectors, encode
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.refuse import Refusal

THRESHOLD = 0.9
"""Confidence from which a shift is named: of ten histories without any, about one passes."""
LEAST_STRETCHES = 9
"""Comparable stretches without which the test cannot reach the threshold: then it abstains."""
LEAST_EVENTS = 10
"""Events that a habit or a situation must have, within and without."""
PERMUTATIONS = 199
SESSION_GAP_SECONDS = 3 * 3600
SESSION_SPAN_SECONDS = 12 * 3600
TOPICS, OPTIONS, CITED = 3, 8, 5
MOST_TOPICS = 1000
"""Topics of a history that are compared, the most frequent."""
WISH_SIMILARITY, WISH_SHARE = 0.35, 0.7
"""Cosine that a topic must have with a wish: at least the one, and this share of the nearest topic's."""
WISH_CONFIDENCE, WISH_UNCLEAR = 0.9, 0.5
"""Confidence in a wish, and in one that no topic is near to: it may be a new interest or none."""

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Prediction:
    """The shift, and what asking the model for it cost."""

    shift: Shift
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Stretch:
    """Events (`inside`) that may differ from the others, both in words, with the confidence that they do.

    `counts` are the events' topics as they were compared, shape (events, topics).
    """

    kind: ShiftKind
    words: str
    others: str
    inside: Mask
    counts: Floats
    confidence: float


def predict_shift(
    history: Sequence[Item],
    *,
    at: float | None,
    context: Context,
    topic_vectors: Mapping[str, Vectors],
    llm: LanguageModel | None,
    priors: Priors | None = None,
    language: Language = "en",
) -> Prediction:
    """The shift of interest at the end of a history; `at` is None where no times are known.

    `topic_vectors` are the topics that a stated wish may mean.
    """
    say = WORDINGS[language]
    if context.query:
        return Prediction(_wished(history, context, topic_vectors, say))
    names = sorted(topic.topic for topic in count_topics(history)[:MOST_TOPICS])
    if not names:
        return Prediction(Shift(kind="none", reason=say.no_topics if history else say.no_history))
    counts = _counts(history, names)
    stretches = [
        stretch
        for stretch in (
            _latest(history, counts, say),
            _this_hour(history, counts, at, say),
            *(_situation(history, counts, key, value, say) for key, value in context.situation.items()),
        )
        if stretch
    ]
    if not stretches:
        return Prediction(
            Shift(
                kind="none",
                to_topics=_persisting(counts, names),
                reason=say.too_few.format(count=len(history)),
            )
        )
    best = max(stretches, key=lambda stretch: stretch.confidence)
    if best.confidence < THRESHOLD:
        return Prediction(
            Shift(
                kind="none",
                to_topics=_persisting(counts, names),
                confidence=round(1 - best.confidence, 3),
                reason=say.no_shift.format(
                    inside=best.words,
                    outside=best.others,
                    less=_percent(best.confidence),
                    least=_percent(THRESHOLD),
                ),
            )
        )
    return _named(history, names, best, llm, priors, language)


def _named(
    history: Sequence[Item],
    names: Sequence[str],
    stretch: _Stretch,
    llm: LanguageModel | None,
    priors: Priors | None,
    language: Language,
) -> Prediction:
    say = WORDINGS[language]
    inside, outside = _shares(stretch.counts[stretch.inside]), _shares(stretch.counts[~stretch.inside])
    gain = inside * np.log((inside + 1e-3) / (outside + 1e-3))
    rising = [int(row) for row in np.argsort(-gain, kind="stable")[:OPTIONS] if gain[row] > 0]
    order, usage, warnings = gain[rising], Usage(), tuple[str, ...]()
    if llm is not None and len(rising) > 1:
        options = [names[row] for row in rising]
        asked = weigh(llm, history=short_titles(history), wish="", options=options, priors=priors, language=language)
        usage, warnings = asked.usage, asked.warnings
        if asked.values is not None:
            order = _standard(order) + 0.5 * _standard(asked.values)
    to_rows = [rising[place] for place in np.argsort(-order, kind="stable")[:TOPICS]]
    falling = np.argsort(inside - outside, kind="stable")[:TOPICS]
    from_topics = tuple(names[row] for row in falling if inside[row] < outside[row])
    to_topics = tuple(names[row] for row in to_rows)
    before, now = outside[to_rows].sum(), inside[to_rows].sum()
    reason = (say.shifted if len(to_topics) > 1 else say.shifted_to_one).format(
        topics=say.listed(to_topics),
        now=_percent(now),
        inside=stretch.words,
        before=_percent(before),
        outside=stretch.others,
        less=_percent(stretch.confidence),
    )
    shift = Shift(
        kind=stretch.kind,
        from_topics=from_topics,
        to_topics=to_topics,
        confidence=round(stretch.confidence, 3),
        evidence=cite([item for item, inside in zip(history, stretch.inside, strict=True) if inside], to_topics),
        reason=reason,
    )
    return Prediction(shift, usage, warnings)


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


def _latest(history: Sequence[Item], counts: Floats, say: Wording) -> _Stretch | None:
    """The short term against equally long stretches of the past."""
    width = recent_count(len(history))
    starts = range(0, len(history) - 2 * width + 1, max(width // 2, 1))
    if len(starts) < LEAST_STRETCHES:
        return None
    total = counts.sum(axis=0)
    running = np.concatenate([np.zeros((1, counts.shape[1])), np.cumsum(counts, axis=0)])
    past = np.stack([running[start + width] - running[start] for start in starts])
    latest = total - running[len(history) - width]
    observed = _divergence(latest[None], (total - latest)[None])[0]
    confidence = _exceeds(observed, _divergence(past, total - past))
    inside = np.arange(len(history)) >= len(history) - width
    times = [item.time for item in history[-width:]]
    known = [time for time in times if time is not None]
    within = len(known) < width or known[-1] - known[0] <= SESSION_SPAN_SECONDS
    kind: ShiftKind = "contextual" if within else "temporal"
    words, others = say.last_events.format(count=width), say.events_before.format(count=len(history) - width)
    return _Stretch(kind, words, others, inside, counts, confidence)


def _this_hour(history: Sequence[Item], counts: Floats, at: float | None, say: Wording) -> _Stretch | None:
    """Events at the same part of the day and week as `at`."""
    times = [item.time for item in history]
    if at is None or any(time is None for time in times):
        return None
    part = _part(at)
    inside = np.array([_part(time or 0.0) == part for time in times], dtype=bool)
    which = say.at_part.format(day=say.days[part[0]], hour=say.hours[part[1]])
    return _compare(history, counts, inside, "temporal", which, say)


def _situation(history: Sequence[Item], counts: Floats, key: str, value: str, say: Wording) -> _Stretch | None:
    """Events in the same situation."""
    inside = np.array([getattr(item, "context", {}).get(key) == value for item in history], dtype=bool)
    return _compare(history, counts, inside, "situational", say.in_situation.format(key=key, value=value), say)


def _compare(
    history: Sequence[Item], counts: Floats, inside: Mask, kind: ShiftKind, which: str, say: Wording
) -> _Stretch | None:
    """Sessions inside against those outside, and against as many drawn at random; a session counts as one, however
    many events it holds."""
    if min(inside.sum(), (~inside).sum()) < LEAST_EVENTS:
        return None
    times = np.array([item.time or 0.0 for item in history])
    starts = np.concatenate([[True], np.diff(times) > SESSION_GAP_SECONDS]) | np.concatenate([[True], np.diff(inside)])
    session = np.cumsum(starts) - 1
    weighed = counts / np.maximum(np.bincount(session)[session, None], 1)
    first = np.flatnonzero(starts)
    sessions, member = np.add.reduceat(weighed, first, axis=0), inside[first]
    within = int(member.sum())
    if len(first) < LEAST_STRETCHES or not 2 <= within <= len(first) - 2:
        return None
    random = np.random.default_rng(0)
    draws = np.stack([member, *(random.permutation(member) for _ in range(PERMUTATIONS))]).astype(np.float64)
    drawn = draws @ sessions
    divergences = _divergence(drawn, sessions.sum(axis=0) - drawn)
    confidence = _exceeds(divergences[0], divergences[1:])
    words, others = say.sessions.format(count=within, which=which), say.other_sessions.format(count=len(first) - within)
    return _Stretch(kind, words, others, inside, weighed, confidence)


def _part(time: float) -> tuple[int, int]:
    """Whether on a day off, and the quarter of the day."""
    moment = datetime.fromtimestamp(time, tz=UTC)
    return int(moment.weekday() >= 5), moment.hour // 6


def _counts(history: Sequence[Item], names: Sequence[str]) -> Floats:
    """Each event's topics, sharing 1 between them; shape (events, topics)."""
    position = {name: row for row, name in enumerate(names)}
    counts = np.zeros((len(history), len(names)))
    for row, item in enumerate(history):
        for topic in item.topics:
            if topic in position:
                counts[row, position[topic]] = 1 / len(item.topics)
    return counts


def _persisting(counts: Floats, names: Sequence[str]) -> tuple[str, ...]:
    """What comes next if nothing shifts: the short and the long term in equal parts."""
    mixed = _shares(counts) + _shares(counts[len(counts) - recent_count(len(counts)) :])
    return tuple(names[row] for row in np.argsort(-mixed, kind="stable")[:TOPICS] if mixed[row] > 0)


def _shares(counts: Floats) -> Floats:
    summed = counts.sum(axis=0)
    return np.asarray(summed / max(summed.sum(), 1e-12))


def _divergence(some: Floats, others: Floats) -> Floats:
    """Jensen-Shannon divergence, in bits, between the rows of two tables of counts; in [0, 1] (Lin, 1991)."""
    p = some / np.maximum(some.sum(axis=1, keepdims=True), 1e-12)
    q = others / np.maximum(others.sum(axis=1, keepdims=True), 1e-12)
    middle = (p + q) / 2

    def relative(a: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(a > 0, a * np.log2(a / middle), 0.0).sum(axis=1))

    return np.asarray((relative(p) + relative(q)) / 2)


def _exceeds(observed: float, comparable: Floats) -> float:
    """The share of comparable values below the observed one, itself counted among them."""
    return float((comparable < observed).sum() / (len(comparable) + 1))


def _percent(share: float) -> str:
    """Whole percents, cut: 99.5% is not all."""
    return f"{int(share * 100)}%"


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-9))
