"""Conditions on the fields of items, such as `price <= 20`. A person sets them, or the operator's policy."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from whimbrel.tools.fields import LONGEST_FIELD, LONGEST_VALUE, FieldValue, typed
from whimbrel.tools.records import Item


class _Entry(str):
    """A text that stays one."""

    __slots__ = ()


Op = Literal["<", "<=", ">", ">=", "==", "!=", "in", "not_in", "contains", "not_contains", "contains_any"]
_NEGATIONS: Mapping[str, Op] = {"!=": "==", "not_in": "in", "not_contains": "contains"}
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}
_OF_LISTS = frozenset({"in", "not_in", "contains_any"})


def _typed(value: Any) -> FieldValue | None:
    return str(value)[:LONGEST_VALUE] if isinstance(value, _Entry) else typed(value)


class Condition(BaseModel):
    """What the value of a field must be.

    An item whose value is unknown fulfils only the conditions that exclude a value: `!=`, `not_in` and `not_contains`.
    Texts are compared without regard to case. A date is compared as far as the bound goes: each day of 2025 is
    `<= 2025`.

    Attributes:
        field: A field of the catalogue. `topics`, `price`, `title` and `text` are fields too.
        op: `in` and `not_in` compare with each value of a list. `contains` asks whether a list has the value, or a text
            the words. `contains_any` asks for one of several.
        value: A number, a flag, a text, or a list for the operators that take several.

    Example:
        >>> Condition(field="runtime", op="<=", value=100).holds(Item(title="Up", fields={"runtime": 96}))
        True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Annotated[str, Field(min_length=1, max_length=LONGEST_FIELD)]
    op: Op
    value: Annotated[Any, BeforeValidator(_typed)]

    @model_validator(mode="before")
    @classmethod
    def _keep_entries(cls, data: Any) -> Any:
        """Keep the texts that entries of a list are compared with: a topic `007` is no number."""
        if (
            isinstance(data, dict)
            and data.get("op") in ("contains", "not_contains")  # no set, since a file may hold a list here
            and isinstance(data.get("value"), str)
        ):
            return {**data, "value": _Entry(data["value"])}
        return data

    @model_validator(mode="after")
    def _check_value(self) -> "Condition":
        if self.value is None:
            raise ValueError("value: a number, a flag, a text or a list is needed")
        if isinstance(self.value, tuple) != (self.op in _OF_LISTS):
            raise ValueError(f"value: {self.op!r} takes {'a list' if self.op in _OF_LISTS else 'a single value'}")
        return self

    def holds(self, item: Item) -> bool:
        """Return whether an item fulfils the condition."""
        return self.admits(item.fact(self.field))

    def admits(self, value: FieldValue | None) -> bool:
        """Return whether a value fulfils the condition."""
        if self.op in _NEGATIONS:
            return value is None or not _fulfils(value, _NEGATIONS[self.op], self.value)
        return value is not None and _fulfils(value, self.op, self.value)


def _fulfils(value: FieldValue, op: str, bound: Any) -> bool:
    if isinstance(value, tuple):
        return _list_fulfils(value, op, bound)
    if op in _COMPARISONS:
        pair = _comparable(value, bound)
        return pair is not None and _COMPARISONS[op](*pair)
    if op == "==":
        return _is_same(value, bound)
    if op == "contains":
        return isinstance(value, str) and str(bound).casefold() in value.casefold()
    return any(_is_same(value, one) for one in bound)


def _list_fulfils(values: tuple[str, ...], op: str, bound: Any) -> bool:
    if op in _COMPARISONS:
        return False
    several = bound if isinstance(bound, tuple) else (bound,)
    return any(_is_same(value, one) for value in values for one in several)


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return str(value).casefold() == str(other).casefold()
    if isinstance(value, float) and isinstance(other, float):
        return value == other
    pair = _comparable(value, other)
    return pair is not None and pair[0] == pair[1]


def _comparable(value: Any, bound: Any) -> tuple[Any, Any] | None:
    """Return a value and a bound as two numbers or two texts. A date is cut to the length of the bound."""
    if isinstance(value, bool) or isinstance(bound, bool):
        return None
    if isinstance(value, float) and isinstance(bound, float):
        return value, bound
    if isinstance(value, float):
        try:
            return value, float(bound)
        except ValueError:
            return None
    texts = str(value).casefold(), f"{bound:g}".casefold() if isinstance(bound, float) else str(bound).casefold()
    return (texts[0][: len(texts[1])], texts[1]) if _is_date(texts[0]) and texts[1][:1].isdigit() else texts


def _is_date(text: str) -> bool:
    return len(text) >= 8 and text[:4].isdecimal() and text[4] == "-"
