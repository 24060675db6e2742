"""CSV, Parquet and JSONL, plain or gzipped, with columns mapped to fields."""

import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.lines import opened, read_lines
from whimbrel.tools.sources.rows import FIELDS, Row, Source

Mapped = Sequence[tuple[str, str]]
"""Pairs of column and field."""

LONGEST_RECORD = 100
"""Lines of one CSV record."""


def parse_map(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """`COLUMN=FIELD` texts as pairs.

    Raises:
        ConfigError: no `=`, an unknown field, or a field that is given twice.
    """
    mapped: list[tuple[str, str]] = []
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column:
            raise ConfigError(f"--map {pair!r}: give COLUMN=FIELD, as in --map product_name=title")
        if name not in FIELDS and not (name.startswith("context.") and len(name) > len("context.")):
            raise ConfigError(f"--map {pair!r}: {name!r} is no field; fields are {', '.join(FIELDS)}, context.KEY")
        if name in {known for _, known in mapped}:
            raise ConfigError(f"--map {pair!r}: field {name!r} is mapped twice")
        mapped.append((column, name))
    return mapped


def read_csv(path: Path, mapped: Mapped) -> Source:
    """The first line names the columns; `,` `;` tab or `|` separate them, whichever the first line has most of."""
    return Source(path.name, _csv_rows(path, mapped), path.stat().st_size)


def read_jsonl(path: Path, mapped: Mapped) -> Source:
    """One JSON object a line; empty lines are passed over."""
    return Source(path.name, _jsonl_rows(path, mapped), path.stat().st_size)


def read_parquet(path: Path, mapped: Mapped) -> Source:
    """Lines are counted from 1 in the order of the file."""
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{str(path)!r} is not a whole Parquet file: {str(error).splitlines()[0]}") from error
    fields = _fields_by_column(file.schema_arrow.names, mapped, path)
    return Source(path.name, _parquet_rows(path, file, fields), file.metadata.num_rows)


def _csv_rows(path: Path, mapped: Mapped) -> Iterator[Row]:
    with opened(path) as (file, position):
        lines = (
            line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape") for number, line in enumerate(file)
        )
        header = next(lines, "")
        if "\r" in header.rstrip("\r\n"):
            raise DataError(f"{path.name!r} ends its lines in the old Mac way (CR): save it with LF or CRLF")
        delimiter = max(",;\t|", key=header.count)
        try:
            names = next(csv.reader([header], delimiter=delimiter), [])
        except csv.Error as error:
            raise DataError(f"the first line of {path.name!r} is no CSV: {error}") from error
        if not all(name.isprintable() for name in names):
            raise DataError(f"the first line of {path.name!r} is no text: is it compressed, or in UTF-16?")
        fields = _fields_by_column(names, mapped, path)
        for line, record in _records(lines, delimiter, width=len(names)):
            try:
                cells = next(csv.reader([record], delimiter=delimiter), [])
            except csv.Error as error:
                yield Row(path.name, line, {"line": record[:1000]}, position(), f"not CSV: {error}")
                continue
            if not cells:
                continue
            if len(cells) != len(names):
                problem = f"{len(cells)} cells, the first line names {len(names)} columns"
                yield Row(path.name, line, dict(zip(names, cells, strict=False)), position(), problem)
            elif not all(cell.isascii() or _is_text(cell) for cell in cells):
                yield Row(path.name, line, position=position(), problem="not UTF-8")
            else:
                named = dict(zip(names, cells, strict=True))
                yield Row(path.name, line, _apply(named, fields), position())


def _records(lines: Iterator[str], delimiter: str, *, width: int) -> Iterator[tuple[int, str]]:
    """Records of `width` cells with the number of their first line. A cell in quotation marks may hold line ends, up
    to a hundred of them: a mark that is opened and never closed costs at most its own line and not the file."""
    opens = re.compile(rf'(?:^|{re.escape(delimiter)})"')
    ahead: deque[str] = deque()
    number = 1

    def following() -> str | None:
        return ahead.popleft() if ahead else next(lines, None)

    while (line := following()) is not None:
        number += 1
        if line.count('"') % 2 == 0 or not opens.search(line):
            yield number, line
            continue
        taken = [line]
        marks = line.count('"')
        while marks % 2 and len(taken) < LONGEST_RECORD and (more := following()) is not None:
            taken.append(more)
            marks += more.count('"')
        if not _is_record("".join(taken), delimiter, width):
            ahead.extendleft(reversed(taken[1:]))
            taken = taken[:1]
        yield number, "".join(taken)
        number += len(taken) - 1


def _is_record(text: str, delimiter: str, width: int) -> bool:
    try:
        return len(next(csv.reader([text], delimiter=delimiter, strict=True), [])) == width
    except csv.Error:
        return False


def _jsonl_rows(path: Path, mapped: Mapped) -> Iterator[Row]:
    columns = dict.fromkeys(column for column, _ in mapped)
    number = 0
    for number, text, position, problem in read_lines(path):
        if problem:
            yield Row(path.name, number, position=position, problem=problem)
            continue
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield Row(path.name, number, position=position, problem=f"not JSON: {error}")
            continue
        if not isinstance(document, dict):
            yield Row(path.name, number, position=position, problem="not a JSON object")
            continue
        for column in [column for column in columns if column in document]:
            del columns[column]
        yield Row(path.name, number, _apply(document, _named(document, mapped)), position)
    if number and columns:
        raise DataError(f"--map: no line of {path.name!r} has {', '.join(map(repr, columns))}")


def _parquet_rows(path: Path, file: Any, fields: Mapped) -> Iterator[Row]:
    from pyarrow.lib import ArrowException

    line = 0
    try:
        for batch in file.iter_batches(10_000, columns=list(dict.fromkeys(column for column, _ in fields))):
            for place in range(batch.num_rows):
                line += 1
                try:
                    (row,) = batch.slice(place, 1).to_pylist()
                except (OverflowError, ValueError) as error:
                    yield Row(path.name, line, position=line, problem=f"holds a value that cannot be read: {error}")
                    continue
                yield Row(path.name, line, _apply(row, fields), line)
    except (ArrowException, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read past row {line}: {str(error).splitlines()[0]}") from error


def _fields_by_column(names: Sequence[str], mapped: Mapped, path: Path) -> Mapped:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path.name!r} has two columns {twice!r}: rename one")
    absent = [column for column, _ in mapped if column not in names]
    fields = _named(dict.fromkeys(names), mapped)
    missing = {"user_id", "title", "time"} - {name for _, name in fields}
    if absent or missing:
        told = f"no column {', '.join(map(repr, absent))}" if absent else f"no column for {', '.join(sorted(missing))}"
        columns = ", ".join(names) if names else "none: the file is empty"
        raise DataError(f"{path.name!r} has {told}; columns are: {columns}. Map them with --map COLUMN=FIELD")
    return fields


def _named(columns: Iterable[str], mapped: Mapped) -> Mapped:
    """The mapping, and columns that bear a field's own name where nothing is mapped to that field."""
    taken = {name for _, name in mapped}
    own = [c for c in columns if (c in FIELDS or c.startswith("context.")) and c not in taken]
    return [*mapped, *((column, column) for column in own)]


def _apply(row: Mapping[str, Any], fields: Mapped) -> dict[str, Any]:
    """The row by field; an empty cell is an absent one."""
    found = {name: row[column] for column, name in fields if row.get(column) not in (None, "")}
    context = {name[len("context.") :]: str(found.pop(name)) for name in list(found) if name.startswith("context.")}
    given = row.get("context")
    if isinstance(given, dict):
        context = {str(key): str(value) for key, value in given.items() if value not in (None, "")} | context
    return found | ({"context": context} if context else {})


def _is_text(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
