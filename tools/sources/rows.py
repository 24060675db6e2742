"""What an adapter gives: rows as they were found, each with its place, to be validated by `ingest`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One row of a source. `fields` holds an event with its item or, of an item given before, with its `item_id`;
    in a row of a `catalogue` an item alone. `problem` says why nothing could be read."""

    file: str
    line: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0
    problem: str = ""
    catalogue: bool = False


@dataclass(frozen=True)
class Source:
    """Rows of a log. `total` is what the last row's `position` will be (bytes or rows), None if unknown."""

    name: str
    rows: Iterator[Row]
    total: int | None = None


FIELDS = ("user_id", "item_id", "title", "time", "topics", "text", "price", "event", "rating", "image")
"""Fields of a row beside `context.KEY`."""
