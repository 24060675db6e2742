"""Summarise a history: count the topics of the short and the long term, and write a sentence about them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.grounding import has_unclosed_quote, prose_problem
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.profile.segment import segments
from whimbrel.agent.schema.results import model_note
from whimbrel.prompts import load
from whimbrel.prompts.phrases import Language, Phrases, load_phrases
from whimbrel.tools.log.sessions import open_session_start
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.titles import short_titles

LEAST_RECENT, MOST_RECENT, RECENT_SHARE = 5, 30, 5
"""The short term is the latest fifth of the events (1 in RECENT_SHARE), but at least LEAST_RECENT and at most
MOST_RECENT events."""
SHOWN_TOPICS = 4
"""Most topics of each term in the plain sentence."""
NAMED_TOPICS = 2
"""Most topics of each term in the model's sentence. With more, the smallest models confuse them."""
SHOWN_INTENTS = 3
"""Number of latest intents of a session that the plain sentence names."""
SHOWN_TITLES = 3
"""Number of latest titles that the plain sentence names if the history has no topics."""
SUMMARY_TOKENS = 64
"""Most tokens of the model's reply in English."""


@dataclass(frozen=True)
class TopicCount:
    """How often a topic occurs among some events, and its share of all their topics."""

    topic: str
    count: int
    share: float


@dataclass(frozen=True)
class Summary:
    """A history in topics and in words.

    Attributes:
        recent: The events of the short term (see `recent_count`).
        long_term: The topics of all earlier events, the most frequent first.
        short_term: The topics of the recent events, the most frequent first.
        words: The model's sentence, or the plain sentence.
        usage: What the call of the model cost.
        warnings: A note if the model's sentence was replaced.
        language: The language of the sentence.
        intents: The latest session among the recent events, cut where its intent probably changes (see `segment`).
    """

    recent: tuple[Item, ...]
    long_term: tuple[TopicCount, ...]
    short_term: tuple[TopicCount, ...]
    words: str
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    language: Language = "en"
    intents: tuple[tuple[Item, ...], ...] = ()

    @property
    def text(self) -> str:
        """The summary for people: the sentence, the counts, and the intents of the session."""
        say = load_phrases(self.language)
        sentences = [self.words]
        if self.words != plain_summary(self.recent, self.short_term, self.long_term, say):
            # The model's sentence names at most NAMED_TOPICS of each term and no numbers, so the counts are added.
            sentences.append(_numbers(self.short_term, self.long_term, say))
        return say.writing.sentence_gap.join([*sentences, *_intents(self.intents, say)])


class SummaryReply(BaseModel):
    """The reply that the model is asked for."""

    summary: str = Field(min_length=1, max_length=160)


def recent_count(events: int) -> int:
    """Return how many of the latest events make up the short term.

    Example:
        >>> recent_count(3), recent_count(60), recent_count(1000)
        (3, 12, 30)
    """
    return min(events, max(LEAST_RECENT, min(events // RECENT_SHARE, MOST_RECENT)))


def summarise(
    history: Sequence[Item],
    llm: LanguageModel | None,
    *,
    vectors: Mapping[str, Vectors] | None = None,
    language: Language = "en",
) -> Summary:
    """Summarise a history.

    The model writes the sentence. If the counts do not support it, a plain sentence replaces it.

    Args:
        history: Events, the latest last. May be empty.
        llm: The language model, or None for a plain sentence.
        vectors: Known unit text vectors of items, keyed by item id.
        language: The language of the sentence.

    Raises:
        ModelError: The model cannot be reached.
    """
    say = load_phrases(language)
    split = len(history) - recent_count(len(history))
    recent, earlier = tuple(history[split:]), history[:split]
    short_term, long_term = count_topics(recent), count_topics(earlier)
    plain = plain_summary(recent, short_term, long_term, say)
    session = _latest_session(recent)
    known = [vectors[item.item_id] for item in session if item.item_id in vectors] if vectors else []
    intents = tuple(segments(session, np.stack(known) if known and len(known) == len(session) else None))
    if llm is None or not short_term:
        return Summary(recent, long_term, short_term, plain, language=language, intents=intents)
    recent_topics = [count.topic for count in short_term[:NAMED_TOPICS]]
    earlier_topics = [count.topic for count in long_term if count.topic not in recent_topics][:NAMED_TOPICS]
    conversation = load("summarise", language=language).messages(
        {
            "recent": say.writing.comma.join(recent_topics),
            "earlier": say.writing.comma.join(earlier_topics) or say.summary.no_earlier_topics,
        }
    )
    most_tokens = SUMMARY_TOKENS * say.generated.token_factor
    (reply,) = llm.generate([conversation], schema=SummaryReply, max_tokens=most_tokens)
    words = " ".join(reply.value.summary.split()) if reply.value else ""
    problem = (
        summary_problem(words, recent_topics, earlier_topics, say)
        if words
        else f"fitted no schema: {reply.misfit[:60]!r}"
    )
    warnings = (model_note(f"summary was replaced: it {problem}"),) if problem else ()
    return Summary(recent, long_term, short_term, plain if problem else words, reply.usage, warnings, language, intents)


def _latest_session(recent: Sequence[Item]) -> Sequence[Item]:
    """Return the events of the latest session, or all events if no times are known."""
    if not recent:
        return recent
    return recent[open_session_start([np.nan if item.time is None else item.time for item in recent]) :]


def _intents(intents: Sequence[Sequence[Item]], say: Phrases) -> list[str]:
    """Return the sentence about a session in a list, which is empty if the session has only one intent.

    An intent is named after its most frequent topic. If it has no topics, it is named after its last title.
    """
    names = [next((count.topic for count in count_topics(events)), short_titles(events[-1:])[0]) for events in intents]
    changes = [name for name, before in zip(names, [None, *names], strict=False) if name != before]
    if len(changes) < 2:
        return []
    return [say.summary.session.format(intents=say.summary.then.join(changes[-SHOWN_INTENTS:]))]


def count_topics(events: Sequence[Item]) -> tuple[TopicCount, ...]:
    """Count the topics of some events, the most frequent first. Equally frequent topics are ordered by name."""
    counts = Counter(topic for event in events for topic in event.topics)
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(TopicCount(topic, count, count / total) for topic, count in ordered)


def plain_summary(
    recent: Sequence[Item], short_term: Sequence[TopicCount], long_term: Sequence[TopicCount], say: Phrases
) -> str:
    """Write a summary from the counts alone: `Lately: Soup (3). Before that: Eggs (2).`."""
    if not recent:
        return say.summary.nothing_known
    if not short_term:
        return say.summary.lately.format(recent=say.writing.semicolon.join(short_titles(recent[-SHOWN_TITLES:])))
    if not long_term:
        return say.summary.so_far.format(recent=in_words(short_term, say))
    return say.summary.lately_and_before.format(recent=in_words(short_term, say), earlier=in_words(long_term, say))


def _numbers(short_term: Sequence[TopicCount], long_term: Sequence[TopicCount], say: Phrases) -> str:
    """Write the counts that follow a sentence of the model."""
    if not long_term:
        return say.summary.numbers_so_far.format(recent=in_words(short_term, say))
    return say.summary.numbers.format(recent=in_words(short_term, say), earlier=in_words(long_term, say))


def in_words(topics: Sequence[TopicCount], say: Phrases) -> str:
    """Write the first topics with their counts: `Soup (3), Eggs (2)`."""
    return say.writing.comma.join(
        say.summary.topic_count.format(topic=topic.topic, count=topic.count) for topic in topics[:SHOWN_TOPICS]
    )


def summary_problem(words: str, recent: Sequence[str], earlier: Sequence[str], say: Phrases) -> str:
    """Say why a model's summary must not be shown.

    Args:
        words: The sentence.
        recent: The recent topics that the model was given. The sentence must name one of them.
        earlier: The earlier topics that the model was given. The sentence must not call any of them recent.
        say: The sentences and words of the language.

    Returns:
        What the sentence does wrong, as in "names no recent topic". It is empty if the sentence may be shown.
    """
    generated, sentence = say.generated, words.casefold()
    recent_names, earlier_names = ({topic.casefold() for topic in topics} for topics in (recent, earlier))
    if not any(name in sentence for name in recent_names):
        return "names no recent topic"
    # Marks replace the topics from here on. The longest topic is replaced first, since one name may contain another.
    names = sorted(recent_names | earlier_names, key=lambda name: (-len(name), name))
    for number, name in enumerate(names):
        sentence = sentence.replace(name, f"\ue000{number}\ue001")
    turn = min((at for word in generated.earlier if (at := sentence.find(word)) >= 0), default=-1)
    for number, name in enumerate(names):
        positions = [match.start() for match in re.finditer(f"\ue000{number}\ue001", sentence)]
        misplaced = any((0 <= turn < position) == (name in recent_names) for position in positions)
        if len(positions) > 1 or misplaced:
            return "takes a recent topic for an earlier one, or the reverse"
    without_topics = re.sub("\ue000\\d+\ue001", " ", sentence)
    if has_unclosed_quote(without_topics, generated.quotes):
        return "opens a quotation that it does not close"
    # The first call checks the form of the whole sentence and allows every word. The second call checks the words
    # around the topics.
    return prose_problem(words, [words], connecting=generated.summary_words) or prose_problem(
        without_topics, [], connecting=generated.summary_words, marks=generated.marks
    )
