"""Read JSON objects, one a line or in one list, as batches of columns."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from whimbrel.tools.errors import DataError
from whimbrel.tools.literals import json_object
from whimbrel.tools.sources.cells import flattened, without_halves
from whimbrel.tools.sources.encodings import encoding_of
from whimbrel.tools.sources.lines import LONGEST_SHOWN, Line, opened, read_lines
from whimbrel.tools.sources.raw import RawBatch
from whimbrel.tools.sources.rows import BATCH_SIZE, Unreadable

T = TypeVar("T")

SAMPLE_ROWS, MOST_COLUMNS = 1000, 2000
LARGEST_LIST = 1 << 30
"""Most bytes of a file that is one JSON list. It is read as a whole."""


@dataclass(frozen=True)
class JsonLines:
    """A file with one JSON object, or one Python dictionary, per line. Blank lines are skipped."""

    path: Path
    encoding: str = "utf-8-sig"
    has_header: bool = True
    has_fixed_names: bool = False

    @property
    def total(self) -> int:
        """The size of the file in bytes."""
        return self.path.stat().st_size

    @cached_property
    def names(self) -> Sequence[str]:
        """The names in the first thousand objects."""
        return _names(islice(self.batches(SAMPLE_ROWS), 1))

    def batches(self, size: int = BATCH_SIZE, only: Collection[str] | None = None) -> Iterator[RawBatch]:
        """Yield the rows, at most `size` in a batch, with all columns or only some."""
        lines = read_lines(self.path, self.encoding)
        while group := list(islice(lines, size)):
            yield _raw(((line.number, line, line.text) for line in group), _of_line, only, group[-1].position)


@dataclass(frozen=True)
class JsonList:
    """A file that is one JSON list of objects, or an object that holds one such list.

    The line number of a row is its position, counted from 1.
    """

    path: Path
    encoding: str = "utf-8-sig"
    has_header: bool = True
    has_fixed_names: bool = False

    @property
    def total(self) -> int:
        """The number of the objects."""
        return len(self.documents)

    @cached_property
    def documents(self) -> Sequence[Any]:
        """The objects.

        Raises:
            DataError: The file is no JSON list.
        """
        try:
            with opened(self.path) as (file, _):
                data = file.read(LARGEST_LIST + 1)
            if len(data) > LARGEST_LIST:
                raise DataError(f"{self.path.name!r} is one JSON list of more than 1 GB: write one object on each line")
            document = json.loads(data.decode(self.encoding))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.path.name!r} is not JSON: {error}") from error
        if isinstance(document, dict):
            lists = [
                value for value in document.values() if isinstance(value, list) and value and isinstance(value[0], dict)
            ]
            document = lists[0] if len(lists) == 1 else document
        if not isinstance(document, list):
            raise DataError(f"{self.path.name!r} is not a JSON list: put the rows between [ and ]")
        return document

    @cached_property
    def names(self) -> Sequence[str]:
        """The names in the first thousand objects."""
        return _names(islice(self.batches(SAMPLE_ROWS), 1))

    def batches(self, size: int = BATCH_SIZE, only: Collection[str] | None = None) -> Iterator[RawBatch]:
        """Yield the rows, at most `size` in a batch, with all columns or only some."""
        for start in range(0, len(self.documents), size):
            group = enumerate(self.documents[start : start + size], start=start + 1)
            end = min(start + size, len(self.documents))
            yield _raw(((number, document, "") for number, document in group), _of_document, only, end)


def open_json_lines(path: Path, *, encoding: str | None = None) -> JsonLines:
    """Return the table of a file of JSON lines."""
    return JsonLines(path, encoding_of(path, given=encoding))


def open_json_list(path: Path, *, encoding: str | None = None) -> JsonList:
    """Return the table of a file that is one JSON list.

    Raises:
        DataError: The file is no JSON list.
    """
    table = JsonList(path, encoding_of(path, given=encoding))
    table.documents  # noqa: B018 - a file that is no list is refused at once
    return table


def _of_line(line: Line) -> Mapping[Any, Any]:
    if line.problem:
        raise ValueError(line.problem)
    return json_object(line.text)


def _of_document(document: Any) -> Mapping[Any, Any]:
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def _raw(
    rows: Iterable[tuple[int, T, str]],
    read: Callable[[T], Mapping[Any, Any]],
    only: Collection[str] | None,
    position: int,
) -> RawBatch:
    """Return rows as columns.

    Args:
        rows: The number of each row, what `read` makes an object of, and the text that is kept if it cannot.
        read: Returns the object of a row.
        only: The columns that are wanted; None for all.
        position: How much of the file was read.
    """
    numbers: list[int] = []
    cells: list[dict[str, str | None]] = []
    unreadable: list[Unreadable] = []
    for number, source, text in rows:
        try:
            cells.append(flattened(read(source)))
        except (ValueError, RecursionError) as error:
            unreadable.append(Unreadable(number, str(error), {"line": text[:LONGEST_SHOWN]} if text else {}))
        else:
            numbers.append(number)
    return RawBatch(numbers, _columns(cells, only), unreadable, position)


def _columns(rows: Sequence[Mapping[str, str | None]], only: Collection[str] | None) -> dict[str, list[str | None]]:
    # Each row may have names of its own, so only what is asked for becomes a column.
    names = dict.fromkeys(name for row in rows for name in row) if only is None else dict.fromkeys(only)
    columns = {name: without_halves([row.get(name) for row in rows]) for name in islice(names, MOST_COLUMNS)}
    return {name: texts for name, texts in columns.items() if only is None or any(text is not None for text in texts)}


def _names(batches: Iterator[RawBatch]) -> Sequence[str]:
    return list(dict.fromkeys(name for batch in batches for name in batch.columns))
