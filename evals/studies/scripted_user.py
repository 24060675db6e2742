"""A scripted person who plays a task in a conversation. No language model is needed.

A task is a set of constraints, each with how it is revealed: `volunteer` is said at once, `on_ask` when its field is
asked about, and `hidden` only when an item that breaks it is rejected. The form is that of tau-Rec (RecSys 2026).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.chat.turn import Turn
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item

TOPIC_FIELDS = ("topics", "genres", "categories")
"""What catalogues call the topics."""
MOST_LINES = 20
"""A person who has said so many lines gives up."""


class Constraint(BaseModel):
    """A constraint of a task, and how it is revealed."""

    model_config = ConfigDict(frozen=True)

    constraint: Condition
    reveal: Literal["volunteer", "on_ask", "hidden"]


class Watched(BaseModel):
    """What a person has seen before."""

    model_config = ConfigDict(frozen=True)

    watched: tuple[str, ...] = ()


class Task(BaseModel):
    """A task of tau-Rec. Keys that are not used are ignored.

    Attributes:
        id: The name of the task.
        constraints: What the wanted item must fulfil.
        no_valid_recommendation: Whether no item fulfils all constraints. The right answer is then that nothing fits.
        complexity: How many constraints there are, in words.
        reveal_difficulty: How the constraints are revealed, in words.
        user_id: The person.
        user_history: What each person has seen before.
        user_services: The services that the person has.
    """

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(min_length=1)]
    constraints: tuple[Constraint, ...]
    no_valid_recommendation: bool = False
    complexity: str = ""
    reveal_difficulty: str = ""
    user_id: str = ""
    user_history: Mapping[str, Watched] = Field(default_factory=dict)
    user_services: tuple[str, ...] = ()

    @property
    def watched(self) -> tuple[str, ...]:
        """Ids of the items that the person has seen."""
        return self.user_history[self.user_id].watched if self.user_id in self.user_history else ()

    def is_met(self, item: Item) -> bool:
        """Return whether an item fulfils all constraints and is new to the person."""
        return item.item_id not in self.watched and all(one.constraint.holds(item) for one in self.constraints)


_OPENINGS = (
    "I'm looking for something {wishes}.",
    "Can you recommend something {wishes}?",
    "Hi, I'd like to see something {wishes}",
    "something {wishes} please",
    "I want something {wishes}",
    "hey, got anything {wishes}?",
    "hi there. in the mood for something {wishes}",
    "we fancy something {wishes} tonight",
    "smth {wishes} pls",
)
_PLAIN_OPENINGS = (
    "Can you recommend something?",
    "Hi, I need something for tonight.",
    "What should I take?",
    "hello! any ideas for this evening?",
    "no idea what I want, help",
)
_WORDS: Mapping[str, Sequence[str]] = {
    "contains": (
        "in the genre {value}",
        "that is {value}",
        "of the kind {value}",
        "{value}",
        "more {value} than anything",
    ),
    "not_contains": (
        "but no {value}",
        "without {value}",
        "and nothing with {value}",
        "but I can't stand {value}",
        "just not {value}",
        "as long as it isn't {value}",
    ),
    "contains_any": ("on {values}", "available on {values}", "that I can get on {values}"),
    "in": ("rated {values}", "with a rating of {values}", "{values} only", "{values} is what I'd like"),
    "==": ("rated {value}", "{value} only", "{value} and nothing else"),
    "!=": ("not {value}", "anything but {value}"),
    "not_in": ("not {values}",),
}
_NUMBERS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "runtime": {
        "<=": (
            "of at most {value} minutes",
            "no longer than {value} minutes",
            "under {value} minutes",
            "that I can finish in {value} min",
            "{value} mins tops",
            "that doesn't go over {value} minutes",
            "not a minute more than {value}",
            "that takes {clock} or less",
        ),
        ">=": (
            "of at least {value} minutes",
            "not shorter than {value} minutes",
            "{value}+ minutes",
            "that lasts {clock} or more",
            "of {value} minutes minimum",
        ),
    },
    "rating": {
        "<=": ("rated {value} or less",),
        ">=": (
            "rated at least {value}",
            "with a rating of {value} or higher",
            "with a score of at least {value}",
            "that people gave {value} or more",
            "not rated below {value}",
            "rating {value}+",
            "with reviews of {value} and up",
        ),
    },
    "price": {
        "<=": ("for at most {value} euros", "under {value} euros", "{value} euros max"),
        ">=": ("for at least {value} euros",),
    },
}
_OTHER_NUMBERS = {"<=": "with {field} at most {value}", ">=": "with {field} at least {value}"}
_REJECTIONS = (
    "No, it should be {wish}.",
    "Not that one. I need something {wish}",
    "Hmm no, I want something {wish}.",
    "nah, something {wish} please",
    "sorry, that won't do. Something {wish}?",
    "that's not it, I was hoping for something {wish}",
)
_ANSWERS = (
    "Something {wish}",
    "{wish}",
    "I'd say {wish}.",
    "hmm, {wish} I guess",
    "{wish} please",
    "well, ideally {wish}",
)
_NO_MATTER = (
    "I don't mind.",
    "doesn't matter",
    "No preference.",
    "not bothered tbh",
    "whatever, you choose",
    "idc",
    "either way is fine",
    "nothing particular",
)
YES: Sequence[str] = ("Yes, that's fine.", "sure", "yeah no problem", "ok by me", "of course, go ahead", "yes please")
_NO = ("No, please not.", "no thanks", "rather not", "nope, kids are here")
_SEEN = ("I have seen it already.", "seen it", "we watched that one last year", "already know that one, what else?")
_ACCEPTED = (
    "I'll take it.",
    "Sounds good, I'll take it!",
    "I'll take that one",
    "perfect, thanks",
    "yes, let's watch that",
    "great choice!",
    "ok that one then",
    "works for me",
)


@dataclass
class ScriptedUser:
    """A person who plays one task. The random generator chooses the words."""

    task: Task
    random: np.random.Generator
    revealed: set[int] = field(default_factory=set)
    accepted: Item | None = None
    gave_up: bool = False
    lines: int = 0

    def opening(self) -> str:
        """Return the first line: what is volunteered."""
        self.lines += 1
        told = [number for number, one in enumerate(self.task.constraints) if one.reveal == "volunteer"]
        self.revealed |= set(told)
        if not told:
            return self._one_of(_PLAIN_OPENINGS)
        wishes = " ".join(self._words(self.task.constraints[number].constraint) for number in told)
        return self._one_of(_OPENINGS).format(wishes=wishes)

    def answer(self, turn: Turn, items: Sequence[Item]) -> str | None:
        """Return the next line, or None if the person is done.

        Args:
            turn: The agent's turn.
            items: The listed items.
        """
        self.lines += 1
        if self.lines > MOST_LINES:
            self.gave_up = True
            return None
        for item in items:
            if self.task.is_met(item):
                self.accepted = item
                return self._one_of(_ACCEPTED)
        if turn.question:
            return self._to_question(turn)
        if items:
            return self._reject(items[0])
        if turn.recommendations is not None:
            return None  # nothing fits
        return self._repeat()

    def _to_question(self, turn: Turn) -> str:
        question = turn.question
        if question is None:
            return ""
        if question.kind == "fact":
            services = self.task.user_services
            return f"I have {_listed(services)}." if services else self._one_of(_NO_MATTER)
        asked = [
            number
            for number, one in enumerate(self.task.constraints)
            if one.reveal != "hidden" and _is_same_field(one.constraint.field, question.field)
        ]
        if question.kind == "gate":
            constraints = [one.constraint for one in self.task.constraints if one.constraint.field == question.field]
            gated = [value for value in ("R", "NC-17") if all(one.admits(value) for one in constraints)]
            return self._one_of(YES if gated or not constraints else _NO)
        if not asked:
            return self._one_of(_NO_MATTER)
        self.revealed |= set(asked)
        wish = " and ".join(self._words(self.task.constraints[number].constraint) for number in asked)
        return self._one_of(_ANSWERS).format(wish=wish)

    def _reject(self, item: Item) -> str:
        broken = [number for number, one in enumerate(self.task.constraints) if not one.constraint.holds(item)]
        if not broken:
            return self._one_of(_SEEN)
        number = broken[0]
        self.revealed.add(number)
        return self._one_of(_REJECTIONS).format(wish=self._words(self.task.constraints[number].constraint))

    def _repeat(self) -> str:
        number = int(self.random.choice(sorted(self.revealed))) if self.revealed else None
        if number is None:
            return self._one_of(_PLAIN_OPENINGS)
        return self._one_of(_ANSWERS).format(wish=self._words(self.task.constraints[number].constraint))

    def _words(self, condition: Condition) -> str:
        numbers = _NUMBERS.get(condition.field)
        forms: Sequence[str]
        if condition.op in {"<=", ">="}:
            forms = numbers[condition.op] if numbers else (_OTHER_NUMBERS[condition.op],)
        else:
            forms = _WORDS[condition.op]
        value: Any = condition.value
        values = _listed(value) if isinstance(value, tuple) else ""
        number = f"{value:g}" if isinstance(value, float) else str(value)
        clock = _clock(value) if isinstance(value, float) else ""
        name = condition.field.replace("_", " ")
        return self._one_of(forms).format(value=number, values=values, field=name, clock=clock)

    def _one_of(self, forms: Sequence[str]) -> str:
        return forms[int(self.random.integers(len(forms)))]


def _is_same_field(field: str, asked: str | None) -> bool:
    """Return whether a question is about a field. The agent calls the topics `topics`, whatever the catalogue does."""
    return field == asked or (asked == "topics" and field in TOPIC_FIELDS)


def _clock(minutes: float) -> str:
    """Return minutes as people say them: "1 hour 50", "2h"."""
    hours, rest = divmod(int(minutes), 60)
    if not hours:
        return f"{rest} minutes"
    return f"{hours} hour{'s' if hours > 1 else ''} {rest}" if rest else f"{hours}h"


def _listed(values: Sequence[str]) -> str:
    return " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)
