"""Let a capable language model read a person: what they are about now, where the interest goes, and what to search for.

Everything that the model says is checked. Event numbers must exist, topics are mapped to those of the catalogue, and a
sentence may name no number and no quotation that the model was not given.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.profile.summarise import count_topics, in_words
from whimbrel.agent.reading.events_shown import events_shown, moment_words
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import ShiftKind, model_note
from whimbrel.agent.shift.change_tests import rising_topics, run_change_tests
from whimbrel.agent.shift.topic_history import TopicHistory
from whimbrel.prompts import Message, load
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.minilm import ENGLISH

MOST_EVENTS = 24
"""The latest distinct events that the model reads. With about 20 tokens each, they are half of the prompt."""
MOST_TOPICS = 30
"""Topics of the catalogue that the prompt lists. Others are still mapped by their names."""
MOST_TESTS = 2
"""Change tests that the prompt quotes, the most significant first."""
SAME_TOPIC = 0.75
"""A topic that the model words in another way is mapped to the nearest topic from this cosine on."""
REPLY_TOKENS = 420
LONGEST_SENTENCE, LONGEST_PHRASE = 240, 80  # characters

_NUMBER = re.compile(r"\d+")
_QUOTED = re.compile(r"[\"“「『]([^\"”」』]+)[\"”」』]")


def _texts(value: Any) -> Any:
    """Return the texts of a reply. Some models write one text instead of a list, or null."""
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(entry) for entry in value if isinstance(entry, str | int)] if isinstance(value, list) else value


def _numbers(value: Any) -> Any:
    if not isinstance(value, list):
        return []
    digits = [_NUMBER.search(str(entry)) for entry in value if not isinstance(entry, bool)]
    return [int(match[0][:9]) for match in digits if match]


def _probability(value: Any) -> Any:
    """Return a probability in [0, 1]. Models also write percents and words; a word counts as one half."""
    match = re.search(r"(\d+(?:\.\d+)?)\s*(%?)", str(value))
    number = float(match[1]) if match else 0.5
    is_percent = number > 1 or bool(match and match[2])
    return min(max(number / 100 if is_percent else number, 0.0), 1.0)


def _kind(value: Any) -> Any:
    text = str(value).strip().casefold()
    return text if text in ("situational", "temporal", "contextual") else "none"


def _some(texts: list[str]) -> list[str]:
    """Refuse an empty list. A reply without phrases says nothing, so it must not be cached."""
    if not any(text.strip() for text in texts):
        raise ValueError("no phrases")
    return texts


def _unless_null(empty: Any) -> BeforeValidator:
    """Return a validator that takes null for an absent value. Models write null where there is nothing to say."""
    return BeforeValidator(lambda value: empty if value is None else value)


Texts = Annotated[list[str], BeforeValidator(_texts), Field(max_length=20)]
EventNumbers = Annotated[list[int], BeforeValidator(_numbers), Field(max_length=60)]


class InterestReply(BaseModel):
    """One interest of a reply, with the numbers of the events that show it."""

    name: str
    events: EventNumbers = Field(default_factory=list)


class ShiftReply(BaseModel):
    """The shift of a reply."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Annotated[ShiftKind, BeforeValidator(_kind)] = "none"
    from_topics: Texts = Field(default_factory=list, alias="from")
    to_topics: Texts = Field(default_factory=list, alias="to")
    probability: Annotated[float, BeforeValidator(_probability)] = 0.5
    events: EventNumbers = Field(default_factory=list)
    why: Annotated[str, _unless_null("")] = ""


class ReadReply(BaseModel):
    """Reply of a model that was asked to read a person. `now` and `phrases` are the least that it must hold."""

    now: str = Field(min_length=1)
    interests: Annotated[list[InterestReply], _unless_null([])] = Field(default_factory=list, max_length=20)
    shift: Annotated[ShiftReply, _unless_null({})] = Field(default_factory=ShiftReply)
    phrases: Annotated[Texts, AfterValidator(_some)]
    unwanted: Texts = Field(default_factory=list)


@dataclass(frozen=True)
class ReadInterest:
    """An interest of now, with the events that show it."""

    name: str
    events: tuple[Item, ...]


@dataclass(frozen=True)
class ReadShift:
    """The shift that the model expects.

    Attributes:
        kind: The kind of shift.
        from_topics: Topics of the catalogue that the interest leaves.
        to_topics: Topics of the catalogue, of which the next event has one with the stated probability.
        probability: The probability that the model states, in [0, 1].
        events: The events that the model cites.
        why: The model's sentence; "" if it did not pass the checks.
    """

    kind: ShiftKind
    from_topics: tuple[str, ...]
    to_topics: tuple[str, ...]
    probability: float
    events: tuple[Item, ...]
    why: str


@dataclass(frozen=True)
class Reading:
    """What a model read. Without a model that can read, every part is empty.

    Attributes:
        now: A sentence about what the person is about now.
        interests: The interests of now, the strongest first.
        shift: The expected shift; None if the reply names no topic of the catalogue.
        phrases: Search phrases for what the person may want next.
        unwanted: Phrases for what the person would not want next.
        phrase_vectors: Unit vectors of `phrases`, shape (phrases, 384); None if there are none.
        unwanted_vectors: Unit vectors of `unwanted`, shape (phrases, 384); None if there are none.
        usage: What the reply cost.
        warnings: What was left out, in sentences for the user.
    """

    now: str = ""
    interests: tuple[ReadInterest, ...] = ()
    shift: ReadShift | None = None
    phrases: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    phrase_vectors: Vectors | None = None
    unwanted_vectors: Vectors | None = None
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The reading in one line, as the order prompt shows it."""
        names = ", ".join(interest.name for interest in self.interests)
        parts = [
            self.now,
            f"Interests: {names}." if names else "",
            f"May want: {', '.join(self.phrases)}." if self.phrases else "",
            f"Not: {', '.join(self.unwanted)}." if self.unwanted else "",
        ]
        return " ".join(filter(None, parts))


NO_READING = Reading()


@dataclass(frozen=True)
class ReadQuery:
    """What is read, and the moment and situation that it is read for.

    Attributes:
        history: The events in order of time.
        at: The moment in Unix seconds, or None if no times are known.
        context: The situation and the wish.
        topics: The topics of the catalogue, with vectors of their names.
        encoder: The encoder of these vectors.
    """

    history: Sequence[Item]
    at: float | None = None
    context: Context = field(default_factory=Context)
    topics: Mapping[str, Vectors] = field(default_factory=dict)
    encoder: TextEncoder = ENGLISH


def read_person(query: ReadQuery, model: ModelAccess) -> Reading:
    """Ask a model to read a person.

    Args:
        query: The person. An empty history without a wish is not read.
        model: The language model. It must be there.

    Raises:
        ModelError: The model cannot be reached.
    """
    if model.llm is None or not (query.history or query.context.query):
        return NO_READING
    messages, events = _messages(query, model)
    (reply,) = model.llm.generate([messages], schema=ReadReply, max_tokens=REPLY_TOKENS)
    if reply.value is None:
        note = model_note(f"reading of the person was left out: {reply.misfit or 'it did not fit the schema'}")
        return Reading(usage=reply.usage, warnings=(note,))
    # The numbers of the instructions are no facts, so only the person's part counts as given.
    given = " ".join(message["content"] for message in messages if message["role"] == "user")
    return _checked(reply.value, query, events, given, reply.usage)


def _messages(query: ReadQuery, model: ModelAccess) -> tuple[list[Message], tuple[Item, ...]]:
    """Return the conversation, and the events with the numbers that it gives them."""
    say, history = model.say, query.history
    # A small context holds fewer events. A line of an event has about 25 tokens.
    room = model.llm.context_tokens // 4 if model.llm else 0
    shown = events_shown(history, most=max(min(MOST_EVENTS, room // 25), 1), zone=model.zone)
    counted = count_topics(history)
    topics_met = [count.topic for count in counted]
    topics = list(dict.fromkeys([*topics_met[:MOST_TOPICS], *query.topics]))[:MOST_TOPICS]
    values = {
        "topics": ", ".join(topics) or "-",
        "events": shown.text or "-",
        "profile": in_words(counted, say) or "-",
        "moment": moment_words(query.at, query.context.situation, zone=model.zone) or "-",
        "changes": _changes(query, model),
        "wish": query.context.query or "-",
    }
    return load("read", language=model.language).messages(values), shown.events


def _changes(query: ReadQuery, model: ModelAccess) -> str:
    """Return the most significant change tests in figures."""
    arrays = TopicHistory.of(query.history, zone=model.zone)
    if not len(arrays.pair_topic):
        return "-"
    tests = run_change_tests(arrays, at=arrays.local(query.at), situation=query.context.situation, say=model.say)
    lines = []
    for test in tests[:MOST_TESTS]:
        rising = ", ".join(
            f"{arrays.topic_names[row]} {test.shares_inside[row]:.0%} (else {test.shares_outside[row]:.0%})"
            for row in rising_topics(test, most=3)
        )
        lines.append(f"{test.words_inside}: {rising}, p {test.p_value:.2f}")
    return "; ".join(lines) or "-"


def _checked(reply: ReadReply, query: ReadQuery, events: Sequence[Item], given: str, usage: Usage) -> Reading:
    """Return what a reply says and the log supports."""
    now = _sentence(reply.now, given)
    interests = [
        ReadInterest(_phrase(interest.name), cited)
        for interest in reply.interests[:4]
        if (cited := _cited(interest.events, events)) and _phrase(interest.name)
    ]
    phrases = tuple(dict.fromkeys(filter(None, map(_phrase, reply.phrases))))[:6]
    unwanted = tuple(dict.fromkeys(filter(None, map(_phrase, reply.unwanted))))[:4]
    warnings = () if now else (model_note("sentence about now was left out: it names what was not given"),)
    return Reading(
        now=now,
        interests=tuple(interests),
        shift=_shift(reply.shift, query, events, given),
        phrases=phrases,
        unwanted=unwanted,
        phrase_vectors=query.encoder.encode(phrases) if phrases else None,
        unwanted_vectors=query.encoder.encode(unwanted) if unwanted else None,
        usage=usage,
        warnings=warnings,
    )


def _shift(reply: ShiftReply, query: ReadQuery, events: Sequence[Item], given: str) -> ReadShift | None:
    known = {topic for item in query.history for topic in item.topics} | query.topics.keys()
    to_topics = _known_topics(reply.to_topics, known, query)
    if not to_topics:
        return None
    from_topics = [topic for topic in _known_topics(reply.from_topics, known, query) if topic not in to_topics]
    return ReadShift(
        kind=reply.kind,
        from_topics=tuple(from_topics),
        to_topics=tuple(to_topics),
        probability=reply.probability,
        events=_cited(reply.events, events),
        why=_sentence(reply.why, given),
    )


def _known_topics(names: Sequence[str], known: set[str], query: ReadQuery) -> list[str]:
    """Map names to topics of the catalogue: by spelling, else to the nearest topic from SAME_TOPIC on."""
    by_case = {topic.casefold(): topic for topic in sorted(known)}
    topics, others = list[str](), list[str]()
    for name in names:
        topic = by_case.get(name.strip().casefold())
        topics.append(topic) if topic else others.append(name)
    if others and query.topics:
        listed = list(query.topics)
        cosines = query.encoder.encode(others) @ np.stack(list(query.topics.values())).T
        topics += [listed[int(row.argmax())] for row in cosines if row.max() >= SAME_TOPIC]
    return list(dict.fromkeys(topics))[:3]


def _cited(numbers: Sequence[int], events: Sequence[Item]) -> tuple[Item, ...]:
    """Return the events of these numbers. Numbers that were not given are dropped."""
    return tuple(events[number - 1] for number in dict.fromkeys(numbers) if 1 <= number <= len(events))


def _phrase(text: str) -> str:
    phrase = " ".join(text.split())
    return phrase if phrase.isprintable() and len(phrase) <= LONGEST_PHRASE else ""


def _sentence(text: str, given: str) -> str:
    """Return a model's sentence if it names no number and no quotation that it was not given; else ""."""
    sentence = " ".join(text.split())
    if not sentence.isprintable() or len(sentence) > LONGEST_SENTENCE or re.search(r"https?:|[<>{}\[\]`|#]", sentence):
        return ""
    numbers = set(_NUMBER.findall(sentence)) - set(_NUMBER.findall(given))
    quoted = [quote for quote in _QUOTED.findall(sentence) if quote.casefold().strip(" .,") not in given.casefold()]
    return "" if numbers or quoted else sentence
