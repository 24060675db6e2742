"""One turn of a conversation, and what the conversation remembers between turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from whimbrel.agent.chat.reading import Act, Question
from whimbrel.agent.chat.state import TalkState
from whimbrel.agent.html import turn_html
from whimbrel.agent.schema.policy import Facts
from whimbrel.agent.schema.results import Recommendations
from whimbrel.tools.conditions import Condition
from whimbrel.tools.fields import FieldValue

LONGEST_ANSWER = 700
"""Most characters of an answer that a model wrote."""


@dataclass(frozen=True)
class Turn:
    """The answer to one line.

    Attributes:
        act: What the line did.
        words: The answer in words. It may be empty if there is a list.
        state: What is wanted after the line.
        question: A question to the person, if one is asked. Its text is part of no other words.
        recommendations: The new list, if the line leads to one. It is empty if nothing fits.
        fields: The facts of each listed item, keyed by its id.
        disclosures: What the policy has said with listed items, keyed by their ids.
        done: Whether the conversation is over.
        warnings: What the caller should know about this answer.
        figures: The score, the signals and the event ids behind an explanation. Only `--verbose` shows them.
    """

    act: Act
    words: str = ""
    state: TalkState = field(default_factory=TalkState)
    question: Question | None = None
    recommendations: Recommendations | None = None
    fields: Mapping[str, Mapping[str, FieldValue]] = field(default_factory=dict)
    disclosures: Mapping[str, Sequence[str]] = field(default_factory=dict)
    done: bool = False
    warnings: tuple[str, ...] = ()
    figures: str = ""

    def _repr_html_(self) -> str:
        return turn_html(turn_document(self))


@dataclass(frozen=True)
class Memory:
    """All that a line may change, so that it can be taken back or left unchanged.

    Attributes:
        state: What is wanted.
        listed: The list on the screen.
        focus: The positions of the listed items that were talked about last.
        shown: Ids of the items that were on a list since the wishes changed their subject.
        latest: Those of them that were on a list since the wishes last changed.
        question: The question that waits for an answer.
        asked: Fields that were asked about.
        opened: Gates that the person opened.
        refused_gates: Gates that the person keeps shut, or has not answered for. Nobody is asked twice.
        facts: What is known of the person.
        reacted: The items and acts of the reactions that were recorded.
        earlier: The memories before each change of the state, the latest last.
    """

    state: TalkState
    listed: Recommendations | None = None
    focus: tuple[int, ...] = ()
    shown: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()
    question: Question | None = None
    asked: tuple[str, ...] = ()
    opened: tuple[Condition, ...] = ()
    refused_gates: tuple[Condition, ...] = ()
    facts: Facts = field(default_factory=dict)
    reacted: tuple[tuple[str, str], ...] = ()
    earlier: tuple["Memory", ...] = ()

    def shortened(self, most: int) -> "Memory":
        """Return the memory with only the latest earlier ones, none of which has earlier ones itself."""
        earlier = tuple(replace(memory, earlier=()) for memory in self.earlier[-most:])
        return replace(self, earlier=earlier)

    def is_changed(self, before: "Memory") -> bool:
        """Return whether the wishes, the gates or the facts differ from an earlier memory."""
        parts = ("state", "opened", "refused_gates", "facts", "reacted")
        return any(getattr(before, part) != getattr(self, part) for part in parts)


def turn_text(turn: Turn) -> str:
    """Return a turn as plain text: the words, the numbered list with its reasons and disclosures, and the question."""
    lines = [turn.words]
    for entry in turn.recommendations.recommendations if turn.recommendations else ():
        lines.append(f"{entry.rank}. {entry.title} - {entry.explanation}")
        lines += [f"   {words}" for words in turn.disclosures.get(entry.item_id, ())]
    return "\n".join(filter(None, [*lines, turn.question.text if turn.question else ""]))


def turn_document(turn: Turn) -> dict[str, Any]:
    """Return a turn as JSON values, as `whimbrel chat --json` prints it."""
    state, listed = turn.state, turn.recommendations
    return {
        "act": turn.act,
        "words": turn.words,
        "state": {
            "wants": list(state.wants),
            "refused": [*state.refused, *state.rejected.values()],
            "conditions": [condition.model_dump(mode="json") for condition in state.conditions],
            "k": state.k,
        },
        "question": turn.question and turn.question.model_dump(mode="json"),
        "recommendations": listed
        and [
            {
                **entry.model_dump(mode="json"),
                "fields": dict(turn.fields.get(entry.item_id, {})),
                "disclosures": list(turn.disclosures.get(entry.item_id, ())),
            }
            for entry in listed.recommendations
        ],
        "done": turn.done,
        "warnings": list(turn.warnings),
    }
