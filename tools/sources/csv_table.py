"""Read CSV files of any separator, quoting and encoding, as batches of columns."""

import csv
import io
import re
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.cells import is_absent, is_whole
from whimbrel.tools.sources.columns import knows_name
from whimbrel.tools.sources.encodings import encoding_of, shown_name
from whimbrel.tools.sources.lines import LONGEST_LINE, LONGEST_SHOWN, opened
from whimbrel.tools.sources.raw import RawBatch, unique_names
from whimbrel.tools.sources.rows import BATCH_SIZE, Unreadable
from whimbrel.tools.sources.times import is_time

SEPARATORS = ("\t", ";", ",", "|", "\x01", "::")
LONGEST_RECORD = 500  # most lines of one record
LONGEST_CELL = 1_000_000  # characters
TOO_LONG = "\ud800"
"""What ends a line that was cut. No readable line holds half of a character."""
SAMPLE_LINES = 200
MOST_TITLE_LINES, LEAST_NAMES = 10, 2
"""Most lines before a header, and the least names of columns that a header below them has."""


@dataclass(frozen=True)
class CsvTable:
    r"""A CSV file and its form.

    Attributes:
        path: The file.
        encoding: Its encoding.
        separator: What separates its cells.
        names: The names of its columns. Columns without a header are `1`, `2`, ...
        header_lines: How many lines come before the first row.
        has_header: Whether the file names its columns.
        escapes: Whether a quotation mark inside a quoted cell is written `\"`.
        line_end: The line end, if it is the old Mac's CR; otherwise LF or CRLF.
        plain: Whether quotation marks are letters like all others.
        has_fixed_names: True, since all rows have the same columns.
    """

    path: Path
    encoding: str
    separator: str
    names: Sequence[str]
    header_lines: int = 1
    has_header: bool = True
    escapes: bool = False
    line_end: str = "\n"
    plain: bool = False
    has_fixed_names: bool = True

    @property
    def total(self) -> int:
        """The size of the file in bytes."""
        return self.path.stat().st_size

    def batches(self, size: int = BATCH_SIZE, only: Collection[str] | None = None) -> Iterator[RawBatch]:
        """Yield the rows, at most about `size` in a batch, with all columns.

        Raises:
            DataError: The file cannot be read to its end.
        """
        with opened(self.path) as (file, position), _stream(file, self.encoding, self.line_end) as stream:
            records = _Records(self, stream)
            while (batch := records.next_batch(size)) is not None:
                yield batch._replace(position=position())


def open_csv(
    path: Path, *, encoding: str | None = None, header: bool | None = None, known: Sequence[str] = ()
) -> CsvTable:
    """Find out the form of a CSV file from its first lines.

    Args:
        path: The file.
        encoding: Its encoding; None to find it out.
        header: Whether it has a header; None to find it out.
        known: Names of columns that the user gave. If the first line holds one, it is a header.

    Raises:
        DataError: The file cannot be read, or its encoding must be given.
    """
    given, encoding = encoding, encoding_of(path, given=encoding)
    with opened(path) as (file, _):
        start = file.read(1 << 16)
    line_end = "\r" if b"\r" in start and b"\n" not in start else "\n"
    with opened(path) as (file, _):
        try:
            with _stream(file, encoding, line_end) as stream:
                lines = list(islice(stream, SAMPLE_LINES))
        except UnicodeError as error:
            raise DataError(f"{path.name!r} is not in {encoding}: {error}: give another --encoding") from error
    if encoding == "utf-8-sig" and any(
        not c.isprintable() and c not in "\t\r\n\x01\x1f\ufeff" and ord(c) < 32 for line in lines[:1] for c in line
    ):
        raise DataError(f"the first line of {path.name!r} is no text: is it compressed, or in UTF-16?")
    header_lines = 0
    separator = ""
    if lines and (match := re.fullmatch(r'"?sep=(.)"?\s*', lines[0], re.I)):  # a line for Excel
        separator, header_lines, lines = match[1], 1, lines[1:]
    while lines and not lines[0].strip():
        header_lines, lines = header_lines + 1, lines[1:]
    skipped = _lines_before_header(lines) if header is None else 0
    header_lines, lines = header_lines + skipped, lines[skipped:]
    separator = separator or _separator(lines, path)
    escapes = _escapes(lines, separator)
    plain = _is_plain(lines, separator)
    rows = [row for line in lines for row in [_cells(line, separator, escapes, plain=plain)] if row]
    first = [cell.strip() for cell in rows[0]] if rows else []
    if given and not is_whole(lines[0] if lines else ""):
        raise DataError(f"{path.name!r} is not in {given}: give another --encoding, or none to let it be found out")
    has_header = _is_header(first, rows[1:], known) if header is None else header
    names = unique_names(first) if has_header else [str(number) for number in range(1, _usual_width(rows) + 1)]
    return CsvTable(path, encoding, separator, names, header_lines + has_header, has_header, escapes, line_end, plain)


def _lines_before_header(lines: Sequence[str]) -> int:
    """Return how many lines of a title come before the line that names the columns; 0 if none does."""

    def named(line: str) -> int:
        cells = max((_cells(line, separator, False) or [] for separator in SEPARATORS), key=len)
        return sum(knows_name(cell.strip()) for cell in cells) if len(cells) > 1 else 0

    names = [named(line) for line in lines[: MOST_TITLE_LINES + 1]]
    if not names or names[0] >= LEAST_NAMES:
        return 0
    best = max(range(len(names)), key=lambda number: names[number])
    return best if names[best] >= LEAST_NAMES and names[best] > names[0] else 0


class _Records:
    """The records of a stream, in batches."""

    def __init__(self, table: CsvTable, stream: Iterator[str]) -> None:
        self.table = table
        self.width = len(table.names)
        # Trailing columns without a name may be left out of a row.
        self.least = max((n for n, name in enumerate(table.names, start=1) if name.strip()), default=0)
        self.line = table.header_lines
        self.stream = iter(stream)
        for _ in range(table.header_lines):
            next(self.stream, "")
        self.put_back: deque[str] = deque()
        separator = re.escape(table.separator)
        self.opens = re.compile(rf'(?:^|{separator})"')

    def next_batch(self, size: int) -> RawBatch | None:
        lines = [self.put_back.popleft() for _ in range(min(len(self.put_back), size))]
        lines += islice(self.stream, size - len(lines))
        if not lines:
            return None
        fast = self._fast(lines)
        if fast is None:
            return self._batch(list(self._slow(lines)))
        numbers = range(self.line + 1, self.line + 1 + len(lines))
        self.line += len(lines)
        if all(map(len, fast)) and set(map(len, fast)) == {self.width} and is_whole("".join(lines)):
            return RawBatch(numbers, dict(zip(self.table.names, zip(*fast, strict=True), strict=True)))
        return self._batch([(n, row, line) for n, row, line in zip(numbers, fast, lines, strict=True)])

    def _fast(self, lines: list[str]) -> list[list[str]] | None:
        """Return the cells of each line; None if a record has several lines or a quotation mark out of place."""
        separator = self.table.separator
        if len(separator) > 1:
            return [line.rstrip("\r\n").split(separator) for line in lines]
        quotes = not self.table.plain and any('"' in line for line in lines)
        if quotes and (self.table.escapes or any(line.count('"') & 1 for line in lines)):
            return None
        try:
            if quotes:
                rows = list(csv.reader(lines, delimiter=separator, strict=True))
            else:
                rows = list(csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE))
        except csv.Error:
            return None
        return rows if len(rows) == len(lines) else None

    def _slow(self, lines: list[str]) -> Iterator[tuple[int, list[str] | None, str]]:
        """Yield the number, the cells and the text of each record. The cells are None if they cannot be told."""
        pending = deque(lines)

        def next_line() -> str | None:
            if pending:
                return pending.popleft()
            return self.put_back.popleft() if self.put_back else next(self.stream, None)

        separator, escapes, plain = self.table.separator, self.table.escapes, self.table.plain
        while pending:
            record = [pending.popleft()]
            number = self.line + 1
            marks = _marks(record[0], escapes)
            if marks % 2 and not plain and self.opens.search(record[0]):
                while marks % 2 and len(record) < LONGEST_RECORD and (more := next_line()) is not None:
                    record.append(more)
                    marks += _marks(more, escapes)
                if _strict("".join(record), separator, escapes) is None or len(
                    _strict("".join(record), separator, escapes) or []
                ) not in range(self.least, self.width + 1):
                    # The mark is not closed: the first line is a record, and the others are tried anew.
                    pending.extendleft(reversed(record[1:]))
                    record = record[:1]
            text = "".join(record)
            self.line += len(record)
            yield number, _cells(text, separator, escapes, plain=plain), text

    def _batch(self, records: Sequence[tuple[int, list[str] | None, str]]) -> RawBatch:
        lines: list[int] = []
        rows: list[list[str]] = []
        unreadable: list[Unreadable] = []
        for number, cells, text in records:
            if cells is None:
                unreadable.append(Unreadable(number, "not CSV: a cell is too long", {"line": text[:LONGEST_SHOWN]}))
                continue
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue
            if text.endswith(TOO_LONG):
                unreadable.append(Unreadable(number, f"a line of more than {LONGEST_LINE} characters", {}))
                continue
            if len(cells) != self.width:
                extra = cells[self.width :]
                if len(cells) < self.least or not all(is_absent(cell) for cell in extra):
                    reason = f"{len(cells)} cells, the first line names {self.width} columns"
                    if not self.table.has_header:
                        reason = f"{len(cells)} cells, most lines have {self.width}"
                    unreadable.append(Unreadable(number, reason, dict(zip(self.table.names, cells, strict=False))))
                    continue
                cells = (cells + [""] * self.width)[: self.width]
            if not is_whole(text):
                unreadable.append(Unreadable(number, f"not {shown_name(self.table.encoding)}", {}))
                continue
            lines.append(number)
            rows.append(cells)
        columns = zip(*rows, strict=True) if rows else ([] for _ in self.table.names)
        return RawBatch(lines, dict(zip(self.table.names, columns, strict=True)), unreadable)


@contextmanager
def _stream(file: IO[bytes], encoding: str, line_end: str) -> Iterator[Iterator[str]]:
    """Yield the lines of a file of bytes. The file stays open."""
    # A byte that is not of the encoding becomes a surrogate, so that only its own row is rejected.
    stream = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline=line_end)
    try:
        yield _short_lines(stream)
    finally:
        stream.detach()


def _short_lines(stream: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a stream. Of a line that could fill the memory, only the start is kept."""
    while line := stream.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(("\n", "\r")):
            while (more := stream.readline(LONGEST_LINE)) and not more.endswith(("\n", "\r")):
                pass
            line = line[:LONGEST_SHOWN] + TOO_LONG
        yield line


def _separator(lines: Sequence[str], path: Path) -> str:
    """Return what separates the cells: it splits most lines into the same number of cells, and into several."""

    def score(separator: str) -> tuple[float, int]:
        widths = [len(_cells(line, separator, False) or []) for line in lines[:50] if line.strip()]
        if not widths or (widths[0] < 2 and len(lines) == 1):
            return 0.0, 0
        usual = max(set(widths), key=widths.count)
        return (widths.count(usual) / len(widths) if usual > 1 else 0.0), usual

    preferred = ("\t",) if path.name.removesuffix(".gz").endswith((".tsv", ".tab")) else ()
    if preferred and score("\t")[0] > 0:
        return "\t"
    scores = {separator: score(separator) for separator in SEPARATORS}
    best = max(scores.values())
    # A header alone, or rows of different lengths: the separator that occurs most often in the first line.
    if best[0] < 0.5:
        return max(",;\t|", key=(lines[0] if lines else "").count)
    good = {separator: width for separator, (share, width) in scores.items() if share > 0.9 * best[0]}
    return max(good, key=lambda separator: good[separator])


def _escapes(lines: Sequence[str], separator: str) -> bool:
    r"""Return whether quotation marks inside quoted cells are written `\"`."""
    return any('\\"' in line and _strict(line, separator, False) is None for line in lines) and sum(
        _strict(line, separator, True) is not None for line in lines if '\\"' in line
    ) * 2 > sum('\\"' in line for line in lines)


def _marks(line: str, escapes: bool) -> int:
    return line.count('"') - (line.count('\\"') if escapes else 0)


def _strict(text: str, separator: str, escapes: bool) -> list[str] | None:
    """Return the cells of a record by the rules of CSV; None if it breaks them."""
    if len(separator) > 1:
        return text.rstrip("\r\n").split(separator)
    try:
        if escapes:
            rows = list(csv.reader([text], delimiter=separator, strict=True, escapechar="\\", doublequote=False))
        else:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else [] if not rows else None


def _is_plain(lines: Sequence[str], separator: str) -> bool:
    """Return whether quotation marks are letters like all others, since more lines are then as wide as the first."""
    if len(separator) > 1 or not any('"' in line for line in lines):
        return False
    width = len(_strict(lines[0], separator, False) or lines[0].split(separator))
    plain = [len(line.rstrip("\r\n").split(separator)) for line in lines]
    table = CsvTable(Path(), "", separator, [str(number) for number in range(width)], 0)
    quoted = [cells for _, cells, _ in _Records(table, iter(()))._slow(list(lines)) if cells and len(cells) == width]
    return plain.count(width) > len(quoted)


def _cells(text: str, separator: str, escapes: bool, *, plain: bool = False) -> list[str] | None:
    """Return the cells of a record. If it breaks the rules of CSV, its quotation marks are part of the cells."""
    cells = _strict(text, separator, escapes) if not plain else None
    if cells is None and escapes:
        cells = _strict(text, separator, False)
    if cells is not None:
        return cells
    parts = text.rstrip("\r\n").split(separator)
    return parts if max(map(len, parts)) <= csv.field_size_limit() else None


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]], known: Sequence[str]) -> bool:
    """Return whether the first line names the columns: its cells are words, where data has numbers and times."""
    if not rows or set(known) & set(first):
        return True
    named = sum(knows_name(cell) for cell in first)
    present = [cell for cell in first if not is_absent(cell)]
    if any(is_time(cell) for cell in present if re.search(r"\d", cell)):
        return False
    numbers = sum(bool(re.fullmatch(r"[+-]?\d+(?:[.,]\d+)?", cell)) for cell in present)
    if named > numbers:
        return True
    if numbers:
        return False
    # No name is known. In a column of times or numbers, a word is a name.
    for place, cell in enumerate(first):
        below = [row[place] for row in rows if len(row) > place and not is_absent(row[place])]
        if below and not re.search(r"\d", cell) and all(re.search(r"\d", text) for text in below):
            return True
    return False


def _usual_width(rows: Sequence[Sequence[str]]) -> int:
    widths = [len(row) for row in rows]
    return max(set(widths), key=lambda width: (widths.count(width), width)) if widths else 0
