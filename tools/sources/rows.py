"""Rows: what an adapter yields, as it was read, to be validated by `ingest`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

FIELDS = ("user_id", "item_id", "title", "time", "topics", "text", "price", "event", "rating", "image")
"""Fields of a row. A row may also have `context.KEY` fields, which describe the situation of the event."""


@dataclass(frozen=True)
class Row:
    """One row of a source.

    Attributes:
        file: The name of the file that it was read from.
        line: The number of its line, from 1.
        fields: The event and its item; of an item that an earlier row described, the `item_id` is enough. In a row of
            a catalogue, the item alone.
        position: How much of the source was read by the end of this row, in the unit of `Source.total`.
        problem: Why the row cannot be read; empty if it can. `fields` then holds what was read of it.
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
    """The rows of a log, to be read once.

    Attributes:
        name: Names the source in messages and its file of rejected rows.
        rows: The rows, in the order of the files.
        total: The `position` of the last row (bytes or rows); None if unknown.
    """

    name: str
    rows: Iterator[Row]
    total: int | None = None
