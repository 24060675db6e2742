"""What one line of a conversation says, whoever reads it: the rules or a language model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item

Act = Literal[
    "want",
    "narrow",
    "exclude",
    "allow",
    "criticise",
    "compare",
    "why",
    "about_item",
    "about_me",
    "fact",
    "accept",
    "reject",
    "known",
    "undo",
    "subject",
    "small_talk",
    "leave",
    "unclear",
]
ACTS: tuple[Act, ...] = get_args(Act)
QuestionKind = Literal["narrow", "gate", "fact", "clarify"]
Answer = Literal["", "yes", "no", "any"]


class Question(BaseModel):
    """A question to the person.

    Attributes:
        kind: `narrow` asks for a limit of a field, `gate` whether items that the policy holds back may be shown, `fact`
            for a fact about the person that the policy needs, `clarify` what a line meant.
        field: The field that it is about; None if it is about none.
        text: The question in words.
    """

    model_config = ConfigDict(frozen=True)

    kind: QuestionKind
    field: str | None = None
    text: str


@dataclass(frozen=True)
class LineReading:
    """What a line says.

    Attributes:
        act: What the line does.
        wants: What is wanted, in words that no field expresses.
        conditions: Conditions on fields.
        refused: What must not be shown: values of topics, or the person's own words.
        allowed: What may be shown again.
        dropped: Fields that no longer matter.
        items: Listed items that the line speaks of, by their positions from 0.
        titles: Titles of the catalogue that the line speaks of.
        liked: Titles that wanted items should be like.
        beyond: The number of an item that the line speaks of and the list does not have; 0 without one.
        k: How many items are asked for; None if the line does not say it.
        answer: The answer to a yes-or-no question, or "any" if the person does not mind.
        facts: Facts about the person, keyed by name.
        missing: Concepts that the line limits and the catalogue has no field for, such as `price`.
        acts: Everything that the clauses of the line do. `act` is one of them.
        is_more: Whether other items are asked for.
        is_new_subject: Whether earlier wishes no longer count.
        is_about_change: Whether the line asks what changed in the person's interests.
        is_about_state: Whether the line asks what was said so far.
        is_said: Whether the line says in so many words that it wants something: "I want ...".
        is_open: Whether the line leaves the choice open: "whatever".
    """

    act: Act
    wants: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    refused: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    items: tuple[int, ...] = ()
    titles: tuple[str, ...] = ()
    liked: tuple[str, ...] = ()
    beyond: int = 0
    k: int | None = None
    answer: Answer = ""
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    acts: tuple[Act, ...] = ()
    is_more: bool = False
    is_new_subject: bool = False
    is_about_change: bool = False
    is_about_state: bool = False
    is_said: bool = False
    is_open: bool = False

    @property
    def changes_wishes(self) -> bool:
        """Whether the line says something of the items that are wanted."""
        return any((self.wants, self.liked, self.conditions, self.refused, self.allowed, self.dropped))

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the line leads to a list."""
        return not (self.changes or self.answer or self.titles or self.missing or self.is_more or self.is_open)

    @property
    def changes(self) -> bool:
        """Whether the line changes what is wanted."""
        parts = (self.wants, self.liked, self.conditions, self.refused, self.allowed, self.dropped, self.facts)
        return any(parts) or self.k is not None or self.is_new_subject


@dataclass(frozen=True)
class Scene:
    """What a reader must know to understand a line.

    Attributes:
        vocabulary: The fields and values of the catalogue.
        listed: The items on the screen, in order.
        focus: The positions of the items that were talked about last.
        question: The question that was asked last.
        refused: What is refused so far.
        has_wishes: Whether anything is wanted so far.
        fact_fields: Names of facts that the policy needs, keyed by the field that they limit.
        said: What is wanted so far, in words.
    """

    vocabulary: Vocabulary
    listed: Sequence[Item] = ()
    focus: tuple[int, ...] = ()
    question: Question | None = None
    refused: tuple[str, ...] = ()
    has_wishes: bool = False
    fact_fields: Mapping[str, str] = field(default_factory=dict)
    said: str = ""


Reader = Callable[[str, Scene], LineReading]
"""Reads a line of a conversation: the rules, or a language model."""
