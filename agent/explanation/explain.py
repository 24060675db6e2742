"""Explain a list: cite events for each item, then write a reason.

The item's strongest signals decide which of the person's events are cited, and what may be said about the events and
the item. Every item gets a plain sentence. For the first items, the language model words a livelier sentence, with
`[1]` and `[item]` in place of the names. The names are filled in afterwards, so the model cannot garble a title. If a
model's reason cites or names anything else, it is dropped and the plain sentence stays.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whimbrel.agent.explanation.check import ReasonReply, reason_problem, reply_schema
from whimbrel.agent.explanation.cite import Citation, cite
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.explanation.plain import plain_reason
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, LanguageModel, Usage
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import CitedEvent, Recommendation, Shift, model_note
from whimbrel.prompts import Message, load
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.records import Interaction, liked
from whimbrel.tools.text.encoder import Vectors

WORDED_CAUSES = ("others", "similarity", "shift")
"""Causes whose reason the model may word. The events alone do not show any other cause, so the reasons of other causes
are always plain."""
GIVEN_EVENTS = 1
"""Number of strongest events that the model is given for a reason. With two, the smallest models mix them up."""
REASON_TOKENS = 60
"""Most tokens of a reply in English."""

_PLACE = re.compile(r"\[(\d|item)\]")


@dataclass(frozen=True)
class Explained:
    """Recommendations with their reasons.

    Attributes:
        recommendations: The list, the best first.
        usage: What the calls of the model cost.
        warnings: Notes about replaced reasons.
        asked: How many reasons the model was asked to word.
        problems: For each replaced reason, why it was replaced.
    """

    recommendations: tuple[Recommendation, ...]
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    asked: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Reason:
    words: str
    events: Sequence[Interaction]


@dataclass(frozen=True)
class _Task:
    """A reason that the model is to word.

    Attributes:
        position: The item's position in the ranking, from 0.
        cause: What is said about the item: one of WORDED_CAUSES.
        names: The names, keyed by their placeholder: `1` for the event and `item` for the item.
        aside: The addition after the item's name: one of its topics.
        messages: The conversation that asks for the reason.
    """

    position: int
    cause: str
    names: Mapping[str, str]
    aside: str
    messages: list[Message]

    def filled(self, reason: str, *, aside: str = "") -> str:
        """Fill the names into a reason. A placeholder without a name stays as it is."""
        names = {**self.names, "item": self.names["item"] + aside}
        return _PLACE.sub(lambda place: names.get(place[1], place[0]), " ".join(reason.split()))


def explain(
    ranked: Sequence[Ranked],
    *,
    history: Sequence[Interaction],
    vectors: Mapping[str, Vectors],
    shift: Shift,
    llm: LanguageModel | None,
    worded: int,
    language: Language = "en",
) -> Explained:
    """Explain ranked items.

    Args:
        ranked: The items of the list, the best first.
        history: The person's events, the latest last. May be empty.
        vectors: Unit text vectors of the items in the history, keyed by item id.
        shift: The predicted shift of interest.
        llm: The language model, or None if all reasons are to be plain.
        worded: How many reasons, from the first item on, the model words.
        language: The language of the sentences.

    Raises:
        ModelError: The model cannot be reached.
    """
    say = load_phrases(language)
    latest = {event.item_id: event for event in liked(history) if isinstance(event, Interaction)}
    citations = [cite(entry, latest, vectors) for entry in ranked]
    reasons = [
        _Reason(plain_reason(entry, citation, shift, say), citation.events)
        for entry, citation in zip(ranked, citations, strict=True)
    ]
    usage, problems, tasks = Usage(), list[str](), list[_Task]()
    if llm is not None:
        tasks = _tasks(ranked[:worded], citations, shift, language)
    for cause in WORDED_CAUSES:  # one schema for each cause, so that a grammar only allows what this cause supports
        of_cause = [task for task in tasks if task.cause == cause]
        if llm is None or not of_cause:
            continue
        verbs = frozenset(say.events.verb(citations[task.position].events[0].event) for task in of_cause)
        replies = llm.generate(
            [task.messages for task in of_cause],
            schema=reply_schema(cause, verbs, language),
            max_tokens=REASON_TOKENS * say.generated.token_factor,
        )
        for task, reply in zip(of_cause, replies, strict=True):
            usage += reply.usage
            given = citations[task.position].events[:GIVEN_EVENTS]  # the model may only cite the events that it saw
            problem = _problem(reply, task, ranked[task.position], given, language)
            if problem or reply.value is None:
                problems.append(problem)
            else:
                cited = [given[number - 1] for number in dict.fromkeys(reply.value.events)]
                reasons[task.position] = _Reason(task.filled(reply.value.reason, aside=task.aside), cited)
    warnings: tuple[str, ...] = ()
    if problems:
        why = "; ".join(dict.fromkeys(problems))
        warnings = (model_note(f"reasons: {len(problems)} of {len(tasks)} replaced by plain reasons ({why})"),)
    return Explained(_recommendations(ranked, reasons), usage, warnings, len(tasks), tuple(problems))


def _tasks(ranked: Sequence[Ranked], citations: Sequence[Citation], shift: Shift, language: Language) -> list[_Task]:
    """Return the reasons that the model is to word.

    An item is left out if its event has the same short name, because both would read the same in one sentence.
    """
    return [
        _task(position, entry, citation, shift, language)
        for position, (entry, citation) in enumerate(zip(ranked, citations, strict=False))
        if citation.cause in WORDED_CAUSES
        and citation.events
        and short_name(entry.candidate.item.title) != short_name(citation.events[0].title)
    ]


def _task(position: int, entry: Ranked, citation: Citation, shift: Shift, language: Language) -> _Task:
    say, item, events = load_phrases(language), entry.candidate.item, citation.events[:GIVEN_EVENTS]
    moved_to = [topic for topic in shift.to_topics if topic in item.topics]
    together = entry.candidate.seed_cosines.get(events[0].item_id, 0) > 0
    supported = {"shift": bool(moved_to), "others": together}
    cause = citation.cause if supported.get(citation.cause, True) else "similarity"
    shared = [topic for topic in item.topics if topic in events[0].topics]
    topics, aside = (
        (moved_to, say.generated.topic_moved_to) if cause == "shift" else (shared, say.generated.topic_shared)
    )
    relations = say.generated.relations[cause]
    titles = [short_name(event.title) for event in events]
    names = {str(number): say.writing.title.format(title=title) for number, title in enumerate(titles, 1)}
    names["item"] = say.writing.title.format(title=short_name(item.title))
    lines = [
        say.generated.event_line.format(number=number, verb=say.events.verb(event.event), title=title)
        for number, (event, title) in enumerate(zip(events, titles, strict=True), 1)
    ]
    values = {
        "title": short_name(item.title),
        "events": "\n".join(lines),
        "relation": relations[position % len(relations)],  # the wording varies down the list
    }
    prompt = load("explain", version=3, language=language)
    return _Task(position, cause, names, aside.format(topic=topics[0]) if topics else "", prompt.messages(values))


def _problem(
    reply: Generation[ReasonReply], task: _Task, entry: Ranked, given: Sequence[Interaction], language: Language
) -> str:
    if reply.value is None:
        return "fitted no schema"
    filled = reply.value.model_copy(update={"reason": task.filled(reply.value.reason)})
    return reason_problem(filled, entry.candidate.item, given, language, of_others=task.cause == "others")


def _recommendations(ranked: Sequence[Ranked], reasons: Sequence[_Reason]) -> tuple[Recommendation, ...]:
    return tuple(
        Recommendation(
            rank=rank,
            item_id=entry.candidate.item.item_id,
            title=entry.candidate.item.title,
            score=entry.score,
            explanation=reason.words,
            evidence=tuple(CitedEvent.of(event) for event in reason.events),
            signals=entry.signals,
        )
        for rank, (entry, reason) in enumerate(zip(ranked, reasons, strict=True), start=1)
    )
