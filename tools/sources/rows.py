"""Rows and batches: what an adapter yields. They are not validated yet; `validate` does that."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from whimbrel.tools.sources.cells import as_text, without_halves
from whimbrel.tools.sources.times import TimeStyle

FIELDS = ("user_id", "item_id", "title", "time", "topics", "text", "price", "event", "rating", "image")
"""The fields of a row.

Columns may also be mapped to `context.KEY`, which describes the situation of the event, to `field.NAME`, a typed fact
of the item, and to `vector.NAME`, a vector of the item, such as of its image or its sound.
"""
VECTOR = "vector."
PREFIXES = ("context.", "field.", VECTOR)
"""What the names of further fields begin with."""
BATCH_SIZE = 20_000  # rows
_MODALITY = re.compile(r"[a-z0-9](?:[a-z0-9_]{0,38}[a-z0-9])?")
"""The name of a kind of vectors. It is part of the name of a collection in the store."""


def is_field(name: str) -> bool:
    """Return whether a column may be mapped to this name."""
    if name.startswith(VECTOR):
        return bool(_MODALITY.fullmatch(name.removeprefix(VECTOR)))
    return name in FIELDS or any(name.startswith(prefix) and len(name) > len(prefix) for prefix in PREFIXES)


def is_of_item(name: str) -> bool:
    """Return whether a field is a fact of the item that has a name of its own: `field.NAME` or `vector.NAME`."""
    return name.startswith(("field.", VECTOR))


@dataclass(frozen=True)
class Row:
    """One row of a source.

    Attributes:
        file: The name of the file that the row was read from.
        line: The line number of the row, counted from 1.
        fields: The fields of the event and its item. If another row describes the item, its `item_id` is enough. A row
            of a catalogue has the fields of an item only.
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


class Unreadable(NamedTuple):
    """A row that cannot be read: its line number, the reason, and what could be read."""

    line: int
    reason: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Styles:
    """How the columns of a table write their values.

    Attributes:
        time: How they write times.
        decimal_mark: The decimal mark of their amounts (see `cells.decimal_mark`).
        separators: The characters that separate several topics in one text, beside `|`.
    """

    time: TimeStyle = field(default_factory=TimeStyle)
    decimal_mark: str = "."
    separators: str = ""


@dataclass(frozen=True)
class Batch:
    """Rows of one file as columns of texts.

    Attributes:
        file: The name of the file.
        lines: The line number of each row, counted from 1.
        columns: The texts of each column, keyed by field, as many as lines. None stands for no value.
        unreadable: Further rows, which cannot be read.
        position: How much of the source was read up to the end of the batch, in the unit of `Source.total`.
        catalogue: Whether the rows describe items and hold no events.
        of_items: Whether the rows are those of a catalogue in a file of its own.
        styles: How the columns write their values.
    """

    file: str
    lines: Sequence[int]
    columns: Mapping[str, Sequence[str | None]]
    unreadable: Sequence[Unreadable] = ()
    position: int = 0
    catalogue: bool = False
    of_items: bool = False
    styles: Styles = field(default_factory=Styles)


@dataclass(frozen=True)
class Source:
    """The rows of a log, one by one or in batches. They can be read only once.

    Attributes:
        name: The name of the source in messages, and of its file of rejected rows.
        rows: The rows, in the order of the files.
        total: The `position` of the last row (bytes or rows); None if unknown.
        columns: The rows as batches of columns. If they are given, `rows` is empty.
        guessed: The field of each column that was guessed, keyed by column.
        warnings: What a person should check.
        unused: Columns that hold no field.
        fingerprint: Names the files, their sizes and times, and how they are read; "" if that is not known. A killed
            ingestion of the same source goes on where it was.
        folder: The folder that the paths of images are relative to; None if there is none.
    """

    name: str
    rows: Iterable[Row] = ()
    total: int | None = None
    columns: Iterator[Batch] | None = None
    guessed: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    unused: Sequence[str] = ()
    fingerprint: str = ""
    folder: Path | None = None

    def batches(self) -> Iterator[Batch]:
        """Yield all rows as batches."""
        return self.columns if self.columns is not None else batches_of(self.rows)


# A row of a data set writes times as numbers of seconds or in ISO 8601.
_OF_ROWS = Styles(time=TimeStyle(number="s"))


def batches_of(rows: Iterable[Row]) -> Iterator[Batch]:
    """Group neighbouring rows of one file and kind into batches of columns."""
    group: list[Row] = []
    for row in rows:
        if group and (len(group) == BATCH_SIZE or (row.file, row.catalogue) != (group[0].file, group[0].catalogue)):
            yield _batch(group)
            group = []
        group.append(row)
    if group:
        yield _batch(group)


def _batch(rows: Sequence[Row]) -> Batch:
    readable = [row for row in rows if not row.problem]
    cells = [_cells(row.fields) for row in readable]
    names = dict.fromkeys(name for row in cells for name in row)
    return Batch(
        file=rows[0].file,
        lines=[row.line for row in readable],
        columns={name: without_halves([row.get(name) for row in cells]) for name in names},
        unreadable=[Unreadable(row.line, row.problem, row.fields) for row in rows if row.problem],
        position=rows[-1].position,
        catalogue=rows[0].catalogue,
        styles=_OF_ROWS,
    )


def _cells(fields: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the values of a row as texts. `context`, `fields` and `vectors` become a column for each of their keys."""
    cells: dict[str, str | None] = {}
    for name, value in fields.items():
        prefix = {"context": "context.", "fields": "field.", "vectors": "vector."}.get(name)
        if prefix and isinstance(value, Mapping):
            cells |= {f"{prefix}{key}": as_text(part) for key, part in value.items()}
        else:
            cells[name] = as_text(value)
    return cells


def shifted(batch: Batch, position: int) -> Batch:
    """Return a batch whose file begins after `position` of its source."""
    return replace(batch, position=batch.position + position)
