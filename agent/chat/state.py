"""What a person wants, as the lines of a conversation say it. Later words win, and each change can be taken back."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from whimbrel.agent.chat.lexicon import meanings
from whimbrel.agent.chat.reading import LineReading
from whimbrel.agent.schema.context import MOST_REFUSALS, Context
from whimbrel.tools.conditions import Condition

_UPPER, _LOWER, _EXACT = ("<", "<="), (">", ">="), ("==", "in", "contains_any")
MOST_WANTS = 5
"""The latest wishes in free words that count. Older ones are forgotten."""


@dataclass(frozen=True)
class TalkState:
    """What is wanted so far.

    Attributes:
        wants: Wishes in words that no field expresses, the latest last.
        conditions: Conditions on fields, all of which must hold.
        refused: Values, and words of the person, that no item may have.
        rejected: Titles of rejected items, keyed by item id.
        known: Ids of items that the person has already seen or has.
        liked: Ids of items for which similar ones are wanted.
        k: The length of the list.
        answered: Fields that the person was asked about and does not limit.
    """

    wants: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    refused: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)
    known: tuple[str, ...] = ()
    liked: tuple[str, ...] = ()
    k: int = 5
    answered: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wanted or refused."""
        return not (self.wants or self.conditions or self.refused or self.liked)

    def after(self, reading: LineReading) -> "TalkState":
        """Return the state after a line."""
        state = replace(self, wants=(), conditions=(), liked=()) if reading.is_new_subject else self
        conditions = [condition for condition in state.conditions if condition.field not in reading.dropped]
        refused = list(state.refused)
        for condition in reading.conditions:
            conditions = [*_without_older(conditions, condition, reading.conditions), condition]
            wanted = {text.casefold() for text in _texts(condition)} if not condition.op.startswith("not") else set()
            refused = [value for value in refused if value.casefold() not in wanted]
        allowed = {value.casefold() for value in reading.allowed}
        refused = [value for value in refused if value.casefold() not in allowed]
        conditions = [
            c for c in conditions if not (c.op in {"!=", "not_contains"} and str(c.value).casefold() in allowed)
        ]
        for value in reading.refused:
            conditions = [part for c in conditions for part in _without_value(c, value)]
        wants = [wish for wish in state.wants if not _mentions(wish, reading.refused)]
        return replace(
            state,
            wants=tuple(dict.fromkeys([*wants, *reading.wants]))[-MOST_WANTS:],
            conditions=tuple(dict.fromkeys(conditions)),
            refused=tuple(dict.fromkeys([*refused, *reading.refused])),
            k=reading.k or state.k,
            answered=state.answered | set(reading.dropped),
        )

    def rejecting(self, items: Mapping[str, str]) -> "TalkState":
        """Return the state without these items, titles keyed by id."""
        return replace(self, rejected={**self.rejected, **items})

    def context(
        self,
        topics: Container[str],
        *,
        hidden: Iterable[str] = (),
        conditions: Sequence[Condition] = (),
        repeat: bool = False,
    ) -> Context:
        """Return the context of a request.

        Args:
            topics: The catalogue's topics. Of a refused word that is none, words of the same meaning are refused too.
            hidden: Ids of further items that must not be shown.
            conditions: Further conditions, such as those of the policy.
            repeat: Whether items of the history may be shown.
        """
        avoid = dict.fromkeys(
            word
            for value in self.refused
            for word in (value, *(() if value in topics else meanings().get(value.casefold(), ())))
        )
        return Context(
            query=", ".join([*self.wants, *self.topics]),
            avoid=tuple(avoid)[-MOST_REFUSALS:],
            more=self.liked,
            unavailable=tuple(dict.fromkeys([*self.rejected, *self.known, *hidden])),
            conditions=(*self.conditions, *conditions),
            repeat=repeat,
        )

    @property
    def topics(self) -> list[str]:
        """The topics that the conditions ask for."""
        return [
            text for c in self.conditions if c.field == "topics" and not c.op.startswith("not") for text in _texts(c)
        ]


def _without_older(conditions: Sequence[Condition], new: Condition, same_line: Sequence[Condition]) -> list[Condition]:
    """Return the conditions that a new one does not replace. Conditions of the same line belong together."""
    return [old for old in conditions if old in same_line or not _replaces(new, old)]


def _replaces(new: Condition, old: Condition) -> bool:
    if new.field != old.field:
        return False
    if new.op in _UPPER:
        # A new upper bound replaces the old one, and a lower bound that leaves nothing.
        return old.op in _UPPER or (old.op in _LOWER and not _overlap(old.value, new.value))
    if new.op in _LOWER:
        return old.op in _LOWER or (old.op in _UPPER and not _overlap(new.value, old.value))
    if new.op in _EXACT:
        return old.op in _EXACT or old.op == "contains" or old.op in {"!=", "not_in"}
    if new.op == "contains":
        return old.op == "contains_any" or (old.op == "not_contains" and old.value == new.value)
    return old.op in {"==", "contains"} and old.value == new.value


def _overlap(low: object, high: object) -> bool:
    return isinstance(low, float) and isinstance(high, float) and low <= high


def _without_value(condition: Condition, refused: str) -> list[Condition]:
    """Return a condition without a value that is now refused. It may be nothing."""
    if condition.op == "contains" and str(condition.value).casefold() == refused.casefold():
        return []
    if condition.op == "contains_any":
        left = tuple(value for value in condition.value if value.casefold() != refused.casefold())
        if len(left) < len(condition.value):
            return [condition.model_copy(update={"value": left})] if left else []
    return [condition]


def _texts(condition: Condition) -> tuple[str, ...]:
    value = condition.value
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()


def _mentions(wish: str, refused: Sequence[str]) -> bool:
    return any(value.casefold() in wish.casefold() for value in refused)
