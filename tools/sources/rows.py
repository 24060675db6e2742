"""Rows: what an adapter yields. They are not validated yet; `ingest` does that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FIELDS = ("user_id", "item_id", "title", "time", "topics", "text", "price", "event", "rating", "image")
"""The fields of a row.

Columns may also be mapped to `context.KEY`, which describes the situation of the event, and to `field.NAME`, a typed
fact of the item.
"""
PREFIXES = ("context.", "field.")
"""What the names of further fields begin with."""


def is_field(name: str) -> bool:
    """Return whether a column may be mapped to this name."""
    return name in FIELDS or any(name.startswith(prefix) and len(name) > len(prefix) for prefix in PREFIXES)


@dataclass(frozen=True)
class Row:
    """One row of a source.

    Attributes:
        file: The name of the file that the row was read from.
        line: The line number of the row, counted from 1.
        fields: The fields of the event and its item. If an earlier row described the item, its `item_id` is enough. A
            row of a catalogue has the fields of an item only.
        position: How much of the source was read up to the end of this row, in the unit of `Source.total`.
        problem: The reason why the row cannot be read; empty for a readable row. If there is a problem, `fields` holds
            what could be read.
        catalogue: Whether the row describes an item and holds no event.
    """

    file: str
    line: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    problem: str = ""
    catalogue: bool = False


@dataclass(frozen=True)
class Source:
    """The rows of a log. They can be read only once.

    Attributes:
        name: The name of the source in messages, and of its file of rejected rows.
        rows: The rows, in the order of the files.
        total: The `position` of the last row (bytes or rows); None if unknown.
    """

    name: str
    rows: Iterator[Row]
    total: int | None = None
