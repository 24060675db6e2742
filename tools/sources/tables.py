"""Read tables (CSV, Parquet and JSONL) and map their columns to fields. CSV and JSONL files may be gzipped."""

import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.lines import opened, read_lines
from whimbrel.tools.sources.rows import FIELDS, Row, Source, is_field

Mapped = Sequence[tuple[str, str]]
"""Pairs of column and field."""
Needed = frozenset[str]

NEEDED_FIELDS = frozenset({"user_id", "title", "time"})
NEEDED_OF_EVENTS, NEEDED_OF_ITEMS = frozenset({"user_id", "time"}), frozenset({"title"})
"""What is needed of a log if the catalogue is in a file of its own, and of that catalogue."""
LONGEST_RECORD = 100  # most lines of one CSV record
PARQUET_BATCH = 10_000  # rows read at a time


def parse_map(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """Parse texts of the form `COLUMN=FIELD` into pairs of column and field.

    Raises:
        ConfigError: A text has no `=`, or a field is unknown.

    Example:
        >>> parse_map(["product=title", "city=context.place"])
        [('product', 'title'), ('city', 'context.place')]
    """
    mapped: list[tuple[str, str]] = []
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column:
            raise ConfigError(f"--map {pair!r}: give COLUMN=FIELD, as in --map product_name=title")
        if not is_field(name):
            names = ", ".join([*FIELDS, "context.KEY", "field.NAME"])
            raise ConfigError(f"--map {pair!r}: {name!r} is no field; fields are {names}")
        mapped.append((column, name))
    return mapped


def read_csv(path: Path, mapped: Mapped, needed: Needed = NEEDED_FIELDS) -> Source:
    """Read a CSV file whose first line names the columns.

    The separator is whichever of `,`, `;`, tab and `|` occurs most often in the first line.

    Args:
        path: The file.
        mapped: Pairs of column and field. A column that is named like a field needs none.
        needed: Fields that must have a column.

    Raises:
        DataError: The first line is not CSV, or a needed or mapped column is missing. It is raised when the first row
            is read.
    """
    return Source(path.name, _csv_rows(path, mapped, needed), path.stat().st_size)


def read_jsonl(path: Path, mapped: Mapped, needed: Needed = NEEDED_FIELDS) -> Source:
    """Read a file with one JSON object per line. Blank lines are skipped. A row that lacks a field is rejected later.

    Raises:
        DataError: No line has a mapped column. It is raised after the last row.
    """
    return Source(path.name, _jsonl_rows(path, mapped), path.stat().st_size)


def read_json(path: Path, mapped: Mapped, needed: Needed = NEEDED_FIELDS) -> Source:
    """Read a file that is one JSON list of objects. The line number of a row is its position, counted from 1.

    Raises:
        DataError: The file is no JSON list.
    """
    documents = _documents(path)
    return Source(path.name, _document_rows(path, documents, mapped), len(documents))


def read_parquet(path: Path, mapped: Mapped, needed: Needed = NEEDED_FIELDS) -> Source:
    """Read a Parquet file. The line number of a row is its position in the file, counted from 1.

    Raises:
        DataError: The file is not a complete Parquet file, or a needed or mapped column is missing.
    """
    file = _parquet_file(path)
    fields = _fields_by_column(file.schema_arrow.names, mapped, path, needed)
    return Source(path.name, _parquet_rows(path, file, fields), file.metadata.num_rows)


def _csv_rows(path: Path, mapped: Mapped, needed: Needed) -> Iterator[Row]:
    with opened(path) as (file, position):
        # A byte that is not UTF-8 becomes a surrogate, so that only its own row is rejected.
        lines = (
            line.decode("utf-8-sig" if number == 0 else "utf-8", "surrogateescape") for number, line in enumerate(file)
        )
        names, delimiter = _names(next(lines, ""), path)
        fields = _fields_by_column(names, mapped, path, needed)
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


def _names(header: str, path: Path) -> tuple[list[str], str]:
    """Return the names of the columns that the first line of a CSV file holds, and the separator."""
    if "\r" in header.rstrip("\r\n"):
        raise DataError(f"{path.name!r} ends its lines in the old Mac way (CR): save it with LF or CRLF")
    delimiter = max(",;\t|", key=header.count)
    try:
        names = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error as error:
        raise DataError(f"the first line of {path.name!r} is no CSV: {error}") from error
    if not all(name.isprintable() for name in names):
        raise DataError(f"the first line of {path.name!r} is no text: is it compressed, or in UTF-16?")
    return names, delimiter


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


def _parquet_file(path: Path) -> Any:
    import pyarrow.parquet
    from pyarrow.lib import ArrowException

    try:
        return pyarrow.parquet.ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"{str(path)!r} is not a whole Parquet file: {str(error).splitlines()[0]}") from error


def _documents(path: Path) -> list[Any]:
    try:
        with opened(path) as (file, _):
            documents = json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name!r} is not JSON: {error}") from error
    if not isinstance(documents, list):
        raise DataError(f"{path.name!r} is not a JSON list: put the rows between [ and ]")
    return documents


def _document_rows(path: Path, documents: Sequence[Any], mapped: Mapped) -> Iterator[Row]:
    for number, document in enumerate(documents, start=1):
        if isinstance(document, dict):
            yield Row(path.name, number, _by_field(document, _with_own_names(document, mapped)), number)
        else:
            yield Row(path.name, number, position=number, problem="not a JSON object")


def columns_of(path: Path, format: str) -> set[str]:
    """Return the names of the columns of a table. Of JSON documents, the first thousand are read.

    Raises:
        DataError: The file cannot be read.
    """
    if format == "parquet":
        return set(_parquet_file(path).schema_arrow.names)
    if format == "csv":
        with opened(path) as (file, _):
            return set(_names(next(iter(file), b"").decode("utf-8-sig", "surrogateescape"), path)[0])
    documents: Iterable[Any]
    if format == "json":
        documents = _documents(path)
    else:
        documents = (_document(text) for _, text, _, problem in read_lines(path) if not problem)
    return {str(name) for document in islice(documents, 1000) if isinstance(document, dict) for name in document}


def _document(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # the row is rejected when it is read
        return None


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


def _fields_by_column(names: Sequence[str], mapped: Mapped, path: Path, needed: Needed) -> Mapped:
    """Return the complete mapping for a table with these columns.

    Raises:
        DataError: Two columns have the same name, or a mapped column or a needed field is missing.
    """
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"{path.name!r} has two columns {repeated!r}: rename one")
    absent = [column for column, _ in mapped if column not in names]
    fields = _with_own_names(dict.fromkeys(names), mapped)
    missing = needed - {name for _, name in fields}
    if absent or missing:
        lack = f"no column {', '.join(map(repr, absent))}" if absent else f"no column for {', '.join(sorted(missing))}"
        columns = ", ".join(names) if names else "none: the file is empty"
        raise DataError(f"{path.name!r} has {lack}; columns are: {columns}. Map them with --map COLUMN=FIELD")
    return fields


def _with_own_names(columns: Iterable[str], mapped: Mapped) -> Mapped:
    """Complete a mapping: a field that nothing is mapped to gets the column of the same name, if there is one."""
    mapped_fields = {name for _, name in mapped}
    named = [column for column in columns if is_field(column) and column not in mapped_fields]
    return [*mapped, *((column, column) for column in named)]


def _by_field(row: Mapping[str, Any], fields: Mapped) -> dict[str, Any]:
    """Return the values of a row, keyed by field. An empty cell counts as absent."""
    values = {name: row[column] for column, name in fields if row.get(column) not in (None, "")}
    context = {key: str(value) for key, value in _pop_prefixed(values, "context.").items()}
    nested = row.get("context")
    if isinstance(nested, dict):
        context = {str(key): str(value) for key, value in nested.items() if value not in (None, "")} | context
    facts = _pop_prefixed(values, "field.")
    return values | ({"context": context} if context else {}) | ({"fields": facts} if facts else {})


def _pop_prefixed(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Remove the values whose names begin with a prefix. Return them by the rest of their names."""
    return {name[len(prefix) :]: values.pop(name) for name in list(values) if name.startswith(prefix)}


def _is_text(cell: str) -> bool:
    """Return whether the cell is free of surrogates. A surrogate marks a byte that is not UTF-8."""
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True
