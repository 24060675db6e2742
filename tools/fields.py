"""The facts of a catalogue: numbers, dates, flags, texts and lists, keyed by field."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from whimbrel.tools.clean import clean_text
from whimbrel.tools.literals import literal

FieldValue = bool | float | str | tuple[str, ...]
"""A number, a flag, a text (a date is a text such as `2025-12-17`), or a list of texts."""

MOST_FIELDS, MOST_VALUES = 64, 64
LONGEST_FIELD, LONGEST_VALUE = 40, 500  # characters

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


def typed(value: object) -> FieldValue | None:
    """Return the value of a field with its type.

    The cell of a table is a text. `198` is a number there, `yes` a flag, and `Drama|Comedy` a list. A value that holds
    nothing is None.

    Raises:
        ValueError: The value is no number, flag, text or list of them.

    Example:
        >>> typed("198"), typed("true"), typed("Drama|Comedy"), typed("2025-12-17")
        (198.0, True, ('Drama', 'Comedy'), '2025-12-17')
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _finite(value)
    if isinstance(value, list | tuple | set | frozenset):
        if not all(isinstance(part, str | int | float) for part in value):
            raise ValueError("a list of texts is needed")
        texts = [str(clean_text(str(part)))[:LONGEST_VALUE] for part in value]
        return tuple(dict.fromkeys(text for text in texts if text))[:MOST_VALUES]
    if hasattr(value, "isoformat"):  # a date of a Parquet file
        return str(value.isoformat())
    if not isinstance(value, str):
        raise ValueError("a number, a flag, a text or a list of texts is needed")
    text = str(clean_text(value))
    if _NUMBER.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text[:LONGEST_VALUE]
    if text.casefold() in _FLAGS:
        return _FLAGS[text.casefold()]
    parts = text.split("|") if "|" in text else _list(text)
    return typed(parts) if parts is not None else text[:LONGEST_VALUE] or None


def _list(text: str) -> list[Any] | None:
    """Return the list that a text holds as JSON or as a Python literal; None if it holds none."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        parts = literal(text)
    except ValueError:
        return None
    is_plain = isinstance(parts, list) and all(isinstance(part, str | int | float) for part in parts)
    return list(parts) if is_plain else None


def _finite(value: float) -> float | None:
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError as error:
        raise ValueError("the number is too large") from error


def _typed_fields(value: object) -> object:
    """Return the fields of an item with their types. Fields without a value are left out."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return value
    named = {str(clean_text(str(name)))[:LONGEST_FIELD]: typed(given) for name, given in value.items()}
    known = {name: given for name, given in named.items() if name and given is not None}
    return dict(list(known.items())[:MOST_FIELDS])


Fields = Annotated[dict[str, Any], BeforeValidator(_typed_fields)]
"""The facts of an item: values of type `FieldValue`, keyed by the name of the field."""
