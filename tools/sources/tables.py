"""Read tables (CSV, Parquet and JSONL) and map their columns to fields. CSV and JSONL files may be gzipped."""

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

NEEDED_FIELDS = frozenset({"user_id", "title", "time"})
LONGEST_RECORD = 100  # most lines of one CSV record
PARQUET_BATCH = 10_000  # rows read at a time


def parse_map(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """Parse texts of the form `COLUMN=FIELD` into pairs of column and field.

    Raises:
        ConfigError: A text has no `=`, a field is unknown, or a field is mapped twice.

    Example:
        >>> parse_map(["product=title", "city=context.place"])
        [('product', 'title'), ('city', 'context.place')]
    """
    mapped: list[tuple[str, str]] = []
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column:
            raise ConfigError(f"--map {pair!r}: give COLUMN=FIELD, as in --map product_name=title")
        if name not in FIELDS and not (name.startswith("context.") and len(name) > len("context.")):
            raise ConfigError(f"--map {pair!r}: {name!r} is no field; fields are {', '.join(FIELDS)}, context.KEY")
        if name in {field for _, field in mapped}:
            raise ConfigError(f"--map {pair!r}: field {name!r} is mapped twice")
        mapped.append((column, name))
    return mapped


def read_csv(path: Path, mapped: Mapped) -> Source:
    """Read a CSV file whose first line names the columns.

    The separator is whichever of `,`, `;`, tab and `|` occurs most often in the first line.

    Raises:
        DataError: The first line is not CSV, or a needed or mapped column is missing. It is raised when the first row
            is read.
    """
    return Source(path.name, _csv_rows(path, mapped), path.stat().st_size)


def read_jsonl(path: Path, mapped: Mapped) -> Source:
    """Read a file with one JSON object per line. Blank lines are skipped.

    Raises:
        DataError: No line has a mapped column. It is raised after the last row.
    """
    return Source(path.name, _jsonl_rows(path, mapped), path.stat().st_size)


def read_parquet(path: Path, mapped: Mapped) -> Source:
    """Read a Parquet file. The line number of a row is its position in the file, counted from 1.

    Raises:
        DataError: The file is not a complete Parquet file, or a needed or mapped column is missing.
    """
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
        # A byte that is not UTF-8 becomes a surrogate, so that only its own row is rejected.
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
                yield Row(path.name, line, _by_field(named, fields), position())


def _records(lines: Iterator[str], delimiter: str, *, width: int) -> Iterator[tuple[int, str]]:
    """Yield the records of a CSV file, each with the number of its first line.

    A cell in quotation marks may contain line ends. If a line has an open quotation mark, the lines up to the closing
    mark are tried as one record. If that record does not have `width` cells, the first line is yielded alone. So an
    unclosed mark spoils one line and not the rest of the file.
    """
    opens = re.compile(rf'(?:^|{re.escape(delimiter)})"')
    put_back: deque[str] = deque()
    number = 1

    def next_line() -> str | None:
        return put_back.popleft() if put_back else next(lines, None)

    while (line := next_line()) is not None:
        number += 1
        if line.count('"') % 2 == 0 or not opens.search(line):
            yield number, line
            continue
        record = [line]
        marks = line.count('"')
        while marks % 2 and len(record) < LONGEST_RECORD and (more := next_line()) is not None:
            record.append(more)
            marks += more.count('"')
        if not _is_record("".join(record), delimiter, width):
            put_back.extendleft(reversed(record[1:]))
            record = record[:1]
        yield number, "".join(record)
        number += len(record) - 1


def _is_record(text: str, delimiter: str, width: int) -> bool:
    try:
        return len(next(csv.reader([text], delimiter=delimiter, strict=True), [])) == width
    except csv.Error:
        return False


def _jsonl_rows(path: Path, mapped: Mapped) -> Iterator[Row]:
    missing = dict.fromkeys(column for column, _ in mapped)  # mapped columns that were in no line so far
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
        for column in [column for column in missing if column in document]:
            del missing[column]
        yield Row(path.name, number, _by_field(document, _with_own_names(document, mapped)), position)
    if number and missing:
        raise DataError(f"--map: no line of {path.name!r} has {', '.join(map(repr, missing))}")


def _parquet_rows(path: Path, file: Any, fields: Mapped) -> Iterator[Row]:
    from pyarrow.lib import ArrowException

    line = 0
    try:
        for batch in file.iter_batches(PARQUET_BATCH, columns=list(dict.fromkeys(column for column, _ in fields))):
            for position in range(batch.num_rows):
                line += 1
                try:
                    # Rows are converted one at a time: a value that Python cannot hold (such as the year 10000) then
                    # rejects only its row.
                    (row,) = batch.slice(position, 1).to_pylist()
                except (OverflowError, ValueError) as error:
                    yield Row(path.name, line, position=line, problem=f"holds a value that cannot be read: {error}")
                    continue
                yield Row(path.name, line, _by_field(row, fields), line)
    except (ArrowException, OSError) as error:
        raise DataError(f"{str(path)!r} cannot be read past row {line}: {str(error).splitlines()[0]}") from error


def _fields_by_column(names: Sequence[str], mapped: Mapped, path: Path) -> Mapped:
    """Return the complete mapping for a table with these columns.

    Raises:
        DataError: Two columns have the same name, or a mapped column or a needed field is missing.
    """
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path.name!r} has two columns {repeated!r}: rename one")
    absent = [column for column, _ in mapped if column not in names]
    fields = _with_own_names(dict.fromkeys(names), mapped)
    missing = NEEDED_FIELDS - {name for _, name in fields}
    if absent or missing:
        lack = f"no column {', '.join(map(repr, absent))}" if absent else f"no column for {', '.join(sorted(missing))}"
        columns = ", ".join(names) if names else "none: the file is empty"
        raise DataError(f"{path.name!r} has {lack}; columns are: {columns}. Map them with --map COLUMN=FIELD")
    return fields


def _with_own_names(columns: Iterable[str], mapped: Mapped) -> Mapped:
    """Complete a mapping: a field that nothing is mapped to gets the column of the same name, if there is one."""
    mapped_fields = {name for _, name in mapped}
    named = [c for c in columns if (c in FIELDS or c.startswith("context.")) and c not in mapped_fields]
    return [*mapped, *((column, column) for column in named)]


def _by_field(row: Mapping[str, Any], fields: Mapped) -> dict[str, Any]:
    """Return the values of a row, keyed by field. An empty cell counts as absent."""
    values = {name: row[column] for column, name in fields if row.get(column) not in (None, "")}
    context = {name[len("context.") :]: str(values.pop(name)) for name in list(values) if name.startswith("context.")}
    nested = row.get("context")
    if isinstance(nested, dict):
        context = {str(key): str(value) for key, value in nested.items() if value not in (None, "")} | context
    return values | ({"context": context} if context else {})


def _is_text(cell: str) -> bool:
    """Return whether the cell is free of surrogates. A surrogate marks a byte that is not UTF-8."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
