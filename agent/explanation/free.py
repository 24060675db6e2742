"""Let a capable model word the reasons of a whole list in one call, and keep what the facts support.

The model sees numbered events of the person, and for each item its verified facts. It replies with one or two claims
an item, in free words, with `[1]` and `[item]` in place of names. Each claim is checked by itself (`claims`). The names
of a claim that passes are filled in afterwards, so the model cannot garble one.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field

from whimbrel.agent.explanation.claims import LONGEST_CLAIM, ClaimChecker, Given
from whimbrel.agent.explanation.facts import Background, Facts
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.explanation.sentences import Sentence, Writer
from whimbrel.agent.explanation.worded import NO_FIT, Worded
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.prompts import load
from whimbrel.prompts.phrases import Language, Phrases, load_phrases
from whimbrel.tools.records import Interaction

NUMBERED_EVENTS = 6
"""Most events that the model sees. They are those that the facts rest on, and then the latest."""
MOST_CLAIMS = 2
"""Most claims about one item that are shown."""
TOKENS_PER_ITEM = 100
"""Most tokens of the reply for one item, in English."""
READING_LENGTH, MOST_TOPICS = 160, 3
"""Most characters of what is said of the person, and most topics of an item that the model sees. With them, a call for
three items takes about 900 tokens."""

ClaimKind = Literal["event", "likeness", "others", "popular", "moment", "shift", "wish", "general"]


def _kind(value: object) -> object:
    return value if value in get_args(ClaimKind) else "general"


def _numbers(value: object) -> object:
    """Return numbers that a model wrote as a list, as one number or as text: `["[1]", 2]`."""
    values = value if isinstance(value, list) else [value]
    return [int(number) for part in values for number in re.findall(r"\d{1,4}", str(part))]


class Claim(BaseModel):
    """One sentence of a reason.

    Attributes:
        kind: What the sentence speaks of.
        evidence: The numbers of the events that it rests on.
        words: The sentence, with `[1]` and `[item]` in place of names.
    """

    kind: Annotated[ClaimKind, BeforeValidator(_kind)] = "general"
    evidence: Annotated[list[int], BeforeValidator(_numbers)] = Field(default_factory=list)
    words: str = Field(json_schema_extra={"maxLength": LONGEST_CLAIM})


class ItemReply(BaseModel):
    """The claims about one item, which is named by its number."""

    item: int
    claims: list[Claim] = Field(json_schema_extra={"minItems": 1, "maxItems": MOST_CLAIMS})


class ReasonsReply(BaseModel):
    """The reply that a model which writes freely is asked for."""

    reasons: list[ItemReply]


def word_freely(
    facts: Sequence[Facts],
    ranked: Sequence[Ranked],
    known: Background,
    reading_words: str,
    *,
    llm: LanguageModel,
    language: Language,
) -> Worded:
    """Word the reasons of the first items of a list in one call.

    Args:
        facts: The facts of each item.
        ranked: The same items with their signals.
        known: What the facts rest on.
        reading_words: What is said of the person. May be empty.
        llm: The language model.
        language: The language of the sentences.

    Raises:
        ModelError: The model cannot be reached.
    """
    say = load_phrases(language, known.zone)
    write, events = Writer(known, say), _numbered(facts, known)
    reading = " ".join(reading_words.split())[:READING_LENGTH]
    given = [
        Given.of(
            fact,
            events,
            write,
            wished=fact.fits and entry.signals.get("wish", 0) > 0,
            also=(reading, _shift(known, say)),
        )
        for fact, entry in zip(facts, ranked, strict=True)
    ]
    values = {
        "events": "\n".join(_event_line(number, event, write) for number, event in events.items()),
        "shift": _shift(known, say),
        "reading": reading or "-",
        "items": "\n".join(_item_lines(number, entry) for number, entry in enumerate(given, 1)),
    }
    (reply,) = llm.generate(
        [load("explain", version=4, language=language).messages(values)],
        schema=ReasonsReply,
        max_tokens=TOKENS_PER_ITEM * len(facts) * say.generated.token_factor,
    )
    if reply.value is None:
        return Worded({}, reply.usage, asked=len(facts), problems=(reply.misfit or NO_FIT,) * len(facts))
    claims = {entry.item: entry.claims for entry in reply.value.reasons}
    checker, sentences, problems, asked = ClaimChecker(language), dict[int, Sentence](), list[str](), 0
    for position, entry in enumerate(given):
        kept: list[Sentence] = []
        for claim in claims.get(position + 1, ())[:MOST_CLAIMS]:
            asked += 1
            if problem := checker.problem(claim.kind, claim.evidence, claim.words, entry):
                problems.append(problem)
            else:
                words, cited = checker.filled(claim.evidence, claim.words, entry)
                kept.append(Sentence("free", claim.kind, words, cited))
        if position + 1 not in claims:
            asked += 1
            problems.append("has no claim")
        if kept:
            words = say.writing.sentence_gap.join(sentence.words for sentence in kept)
            cited = tuple({event.event_id: event for sentence in kept for event in sentence.events}.values())
            sentences[position] = Sentence("free", "", words, cited)
    return Worded(sentences, reply.usage, asked=asked, problems=tuple(problems))


def _numbered(facts: Sequence[Facts], known: Background) -> dict[int, Interaction]:
    """Number the events that the facts rest on, then the latest events. The latest has the number 1."""
    ids: dict[str, Interaction] = {event.item_id: event for fact in facts for event in _events_of(fact)}
    for event in reversed(known.latest.values()):
        ids.setdefault(event.item_id, event)
    chosen = sorted(list(ids.values())[:NUMBERED_EVENTS], key=lambda event: -event.time)
    return dict(enumerate(chosen, 1))


def _events_of(facts: Facts) -> Iterator[Interaction]:
    yield from (likeness.events[0] for likeness in facts.likeness[:1])
    yield from (together.events[0] for together in facts.others[:1])
    if facts.expected_after:
        yield facts.expected_after


def _is_wished(facts: Facts, entry: Ranked) -> bool:
    """Return whether an item is listed for the wish, and shows that it fits."""
    return facts.fits and entry.signals.get("wish", 0) > 0


def _event_line(number: int, event: Interaction, write: Writer) -> str:
    did = write.say.generated.free.event_line.format(number=number, did=write.did([event]))
    return " · ".join([did, *event.topics[:MOST_TOPICS]])


def _item_lines(number: int, given: Given) -> str:
    item = given.facts.item
    head = " · ".join([f"{number}. '{short_name(item.title)}'", *item.topics[:MOST_TOPICS]])
    return "\n".join([head, *(f"   - {line}" for line in given.lines)])


def _shift(known: Background, say: Phrases) -> str:
    shift, facts = known.shift, say.reasons.facts
    to = say.writing.comma.join(shift.to_topics[:3])
    if shift.kind == "none" or not shift.from_topics:
        return facts.no_shift.format(to=to) if to else "-"
    return facts.shift.format(from_=say.writing.comma.join(shift.from_topics[:3]), to=to)
