"""What a person is about: topics of the long and the short term and of the intents of a session, counted, and a
sentence about them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.grounding import prose_problem, unclosed
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.profile.segment import segments
from whimbrel.prompts import load
from whimbrel.prompts.phrases import WORDINGS, Language, Wording
from whimbrel.tools.log.sessions import open_session_start
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.titles import short_titles

LEAST_RECENT, MOST_RECENT, RECENT_SHARE = 5, 30, 5
SHOWN_TOPICS = 4
NAMED = 2
"""Topics of each term that the model words: with more, the smallest models lose the thread."""
SHOWN_INTENTS = 3
"""Latest intents of a session that are told."""


@dataclass(frozen=True)
class TopicCount:
    """How often a topic occurs among some events, and its share of all topics there."""

    topic: str
    count: int
    share: float


@dataclass(frozen=True)
class Summary:
    """The long term (all events but the recent ones), the short term (the `recent` events), and both in words.

    `recent` is a fifth of the history, at least 5 and at most 30 events. Topics are ordered by count. `intents` are
    the latest session among the recent events, cut where its intent probably changes (see `segment`).
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
        """The words with the counts behind them, once."""
        say = WORDINGS[self.language]
        counts = plain_summary(self.recent, self.short_term, self.long_term, say)
        told = [counts] if self.words == counts else [self.words, counts]
        return say.gap.join([*told, *_intents_told(self.intents, say)])


class SummaryReply(BaseModel):
    """The reply asked of the model."""

    summary: str = Field(min_length=1, max_length=160)


def recent_count(events: int) -> int:
    """How many of the latest events make the short term."""
    return min(events, max(LEAST_RECENT, min(events // RECENT_SHARE, MOST_RECENT)))


def summarise(
    history: Sequence[Item],
    llm: LanguageModel | None,
    *,
    vectors: Mapping[str, Vectors] | None = None,
    language: Language = "en",
) -> Summary:
    """Topics by count, and one sentence: the model's where it says something that the counts support.

    `vectors` are those of the items, where they are known.
    """
    say = WORDINGS[language]
    split = len(history) - recent_count(len(history))
    recent, earlier = tuple(history[split:]), history[:split]
    short_term, long_term = count_topics(recent), count_topics(earlier)
    plain = plain_summary(recent, short_term, long_term, say)
    session = _latest_session(recent)
    known = [vectors[item.item_id] for item in session if item.item_id in vectors] if vectors else []
    intents = tuple(segments(session, np.stack(known) if known and len(known) == len(session) else None))
    if llm is None or not short_term:
        return Summary(recent, long_term, short_term, plain, language=language, intents=intents)
    recent_names = {topic.topic for topic in short_term[:NAMED]}
    earlier_topics = [topic for topic in long_term if topic.topic not in recent_names][:NAMED]
    conversation = load("summarise", language=language).messages(
        {
            "recent": say.comma.join(topic.topic for topic in short_term[:NAMED]),
            "earlier": say.comma.join(topic.topic for topic in earlier_topics) or say.nothing_else,
        }
    )
    (reply,) = llm.generate([conversation], schema=SummaryReply, max_tokens=64 * say.token_factor)
    words = " ".join(reply.value.summary.split()) if reply.value else ""
    problem = _problem(words, short_term, earlier_topics, say) if words else f"fitted no schema: {reply.misfit[:60]!r}"
    warnings = (f"the model's summary was replaced: it {problem}",) if problem else ()
    said = plain if problem else words
    return Summary(recent, long_term, short_term, said, reply.usage, warnings, language, intents)


def _latest_session(recent: Sequence[Item]) -> Sequence[Item]:
    """The events since the last long pause; all of them where times are not known."""
    if not recent:
        return recent
    return recent[open_session_start([np.nan if item.time is None else item.time for item in recent]) :]


def _intents_told(intents: Sequence[Sequence[Item]], say: Wording) -> list[str]:
    """The session in a sentence, an intent by its most frequent topic or else its last title; none where it has one
    intent only."""
    names = [next((count.topic for count in count_topics(events)), short_titles(events[-1:])[0]) for events in intents]
    changed = [name for name, before in zip(names, [None, *names], strict=False) if name != before]
    return [say.in_session.format(intents=say.then.join(changed[-SHOWN_INTENTS:]))] if len(changed) > 1 else []


def count_topics(events: Sequence[Item]) -> tuple[TopicCount, ...]:
    """Topics of some events, the most frequent first, equal ones by name."""
    counts = Counter(topic for event in events for topic in event.topics)
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(TopicCount(topic, count, count / total) for topic, count in ordered)


def plain_summary(
    recent: Sequence[Item], short_term: Sequence[TopicCount], long_term: Sequence[TopicCount], say: Wording
) -> str:
    """The same in a sentence of our own, from the counts alone."""
    if not recent:
        return say.nothing_known
    if not short_term:
        return say.lately.format(recent=say.semicolon.join(short_titles(recent[-3:])))
    if not long_term:
        return say.so_far.format(recent=in_words(short_term, say))
    return say.lately_and_before.format(recent=in_words(short_term, say), earlier=in_words(long_term, say))


def in_words(topics: Sequence[TopicCount], say: Wording) -> str:
    """`Soup (3), Eggs (2)`."""
    return say.comma.join(
        say.topic_count.format(topic=topic.topic, count=topic.count) for topic in topics[:SHOWN_TOPICS]
    )


def _problem(words: str, short_term: Sequence[TopicCount], earlier: Sequence[TopicCount], say: Wording) -> str:
    """Why a sentence is not to be shown; empty where it is fine."""
    said = words.casefold()
    if not any(topic.topic.casefold() in said for topic in short_term[:NAMED]):
        return "names no recent topic"
    recent = {topic.topic.casefold() for topic in short_term[:NAMED]}
    names = sorted(recent | {topic.topic.casefold() for topic in earlier}, key=lambda name: (-len(name), name))
    for number, name in enumerate(names):  # the longest first: one name may stand within another
        said = said.replace(name, f"\ue000{number}\ue001")
    turn = min((place for word in say.earlier if (place := said.find(word)) >= 0), default=-1)
    for number, name in enumerate(names):
        places = [match.start() for match in re.finditer(f"\ue000{number}\ue001", said)]
        if len(places) > 1 or any((0 <= turn < place) == (name in recent) for place in places):
            return "takes a recent topic for an earlier one, or the reverse"
    bare = re.sub("\ue000\\d+\ue001", " ", said)
    if unclosed(bare, say.quotes):
        return "opens a quotation that it does not close"
    whole = prose_problem(words, [words], connecting=say.summary_words)
    return whole or prose_problem(bare, [], connecting=say.summary_words, marks=say.marks)
