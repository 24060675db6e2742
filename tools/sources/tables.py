"""Tables of any container: find out what their columns hold, and read them as batches of fields."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.records import clean_identifier
from whimbrel.tools.sources.cells import SEVERAL, decimal_mark, is_absent, listed, unescaped
from whimbrel.tools.sources.columns import Columns, Mapped, guess_columns, map_line
from whimbrel.tools.sources.csv_table import open_csv
from whimbrel.tools.sources.json_table import open_json_lines, open_json_list
from whimbrel.tools.sources.parquet_table import open_parquet
from whimbrel.tools.sources.raw import RawBatch, Table
from whimbrel.tools.sources.rows import FIELDS, Batch, Source, Styles, is_field
from whimbrel.tools.sources.times import TimeStyle, day_comes_first, guessed_style, is_local, style_given
from whimbrel.tools.timestamps import zone_of

SAMPLE_ROWS = 1000
"""Rows from which columns and styles are guessed."""
LONGEST_SEARCHED = 300  # characters of topics that are searched for separators
MOST_NAMES = 60  # columns that an error lists
LONGEST_NAME = 80  # characters of the name of a column that are shown
LEAST_SEVERAL = 0.2
"""If at least this share of the topic texts has a separator in it, a warning is given."""
_OF_ITEMS = ("item_id", "title", "topics", "text", "price", "image")
_AMBIGUOUS_DATE = re.compile(r"^\s*\d{1,2}\s?[-/.]\s?\d{1,2}\s?[-/.]\s?(?:\d{4}|\d{2})(?=\D|$)")


@dataclass(frozen=True)
class TableOptions:
    """How the user says that a table is to be read.

    Attributes:
        mapped: Pairs of column and field. The other columns are guessed.
        split: The characters that separate several topics in one text.
        time_format: How times are written (see `times.style_given`); "" to guess it.
        timezone: The zone of times without one; "" for UTC.
        encoding: The encoding of text files; None to find it out.
        header: Whether the first line names the columns; None to find it out.
    """

    mapped: Mapped = ()
    split: str = ""
    time_format: str = ""
    timezone: str = ""
    encoding: str | None = None
    header: bool | None = None

    @property
    def separators(self) -> str:
        """The characters that separate topics. A space separates only if there is nothing else."""
        return "".join(self.split.split()) or self.split


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


@dataclass(frozen=True)
class OpenTable:
    """A table of one or several files, of which is known what the columns hold.

    Attributes:
        files: The name and the table of each file.
        columns: Which columns hold which fields.
        styles: How the columns write their values.
        warnings: What a person should check.
        title_is_id: Whether items have no titles, so that their ids serve as titles.
    """

    files: Sequence[tuple[str, Table]]
    columns: Columns
    styles: Styles
    warnings: Sequence[str]
    title_is_id: bool = False

    @property
    def total(self) -> int:
        """The `position` of the last batch."""
        return sum(table.total for _, table in self.files)

    @property
    def unused(self) -> list[str]:
        """The columns that hold no field."""
        used = {column for column, _ in self.columns.mapped}
        return [_shown(name) for name in self.files[0][1].names if name.strip() and name not in used]

    def batches(self, *, catalogue: bool = False) -> Iterator[Batch]:
        """Yield all rows.

        Args:
            catalogue: Whether the rows describe items and hold no events.
        """
        start = 0
        seen: set[str] = set()
        for name, table in self.files:
            for raw in table.batches(only=[column for column, _ in self.columns.mapped]):
                seen.update(raw.columns)
                yield self._batch(name, raw, start, catalogue=catalogue)
            start += table.total
        absent = [column for column, _ in self.columns.mapped if column not in seen]
        if absent and seen:
            raise DataError(f"--map: no line of {self.files[0][0]!r} has {', '.join(map(repr, absent))}")

    def _batch(self, file: str, raw: RawBatch, start: int, *, catalogue: bool) -> Batch:
        columns: dict[str, Sequence[str | None]] = {}
        for column, name in self.columns.mapped:
            texts = raw.columns.get(column)
            if texts is None:
                continue
            columns[name] = _joined(name, columns[name], texts) if name in columns else texts
        if self.title_is_id and "item_id" in columns:
            columns["title"] = columns["item_id"]
        return Batch(file, raw.lines, columns, raw.unreadable, start + raw.position, catalogue, catalogue, self.styles)

    def source(self, name: str) -> Source:
        """Return the rows as a source of events."""
        return Source(
            name,
            total=self.total,
            columns=self.batches(),
            guessed={_shown(column): field for column, field in self.columns.guessed.items()},
            warnings=self.warnings,
            unused=self.unused,
        )


def _shown(name: str) -> str:
    """Return the name of a column as it is shown. A file may put any character into it."""
    return str(clean_text(name))[:LONGEST_NAME]


def _joined(name: str, first: Sequence[str | None], second: Sequence[str | None]) -> list[str | None]:
    """Return two columns of one field as one: a date and its clock, or a category and its subcategory."""
    mark = " " if name == "time" else "|"
    pairs = zip(first, second, strict=True)
    return [a if is_absent(b) else b if is_absent(a) else f"{a}{mark}{b}" for a, b in pairs]


_READERS: Mapping[str, Callable[[Path, TableOptions], Table]] = {
    "csv": lambda path, options: open_csv(
        path, encoding=options.encoding, header=options.header, known=[column for column, _ in options.mapped]
    ),
    "jsonl": lambda path, options: open_json_lines(path, encoding=options.encoding),
    "json": lambda path, options: open_json_list(path, encoding=options.encoding),
    "parquet": lambda path, options: open_parquet(path),
}
TABLES = tuple(_READERS)


def columns_of(path: Path, format: str, options: TableOptions = TableOptions()) -> set[str]:
    """Return the names of the columns of a table. Of JSON documents, the first thousand are read.

    Raises:
        DataError: The file cannot be read.
    """
    return {name for name in _READERS[format](path, options).names if name.strip()}


def open_table(
    path: Path, format: str, options: TableOptions, *, of_items: bool = False, with_items: bool = False
) -> OpenTable:
    """Open a table, and find out what its columns hold.

    Args:
        path: A file, or a folder of parts with the same columns, such as Spark writes.
        format: One of TABLES.
        options: What the user says about the table.
        of_items: Whether the table is a catalogue, so that its rows hold no events.
        with_items: Whether the titles are in a catalogue of its own.

    Raises:
        ConfigError: An option cannot be used.
        DataError: A file cannot be read, or a needed or mapped column is missing.
    """
    paths = parts_of(path) if path.is_dir() else [path]
    tables = [(str(clean_text(part.name)), _READERS[format](part, options)) for part in paths]
    # Spark also writes parts without rows.
    tables = [(name, table) for name, table in tables if len(tables) == 1 or any(name.strip() for name in table.names)]
    if not tables:
        raise DataError(f"{str(path)!r} holds no rows")
    name, first = next(((name, table) for name, table in tables if _has_rows(table)), tables[0])
    if first.has_header and not all(table.has_header for _, table in tables):
        other = next(name for name, table in tables if not table.has_header)
        raise DataError(
            f"{name!r} has a header and {other!r} has none: the parts of a folder must have the same columns"
        )
    sample = _sample(first, name)
    options = replace(options, mapped=_by_position(options.mapped, first))
    _check_given(first, options.mapped, name)
    columns = guess_columns(sample, options.mapped, by_values=not first.has_header)
    if of_items:
        columns = _of_items(columns)
    _check_needed(columns, first, name, sample, of_items=of_items, with_items=with_items)
    styles, warnings = _styles(columns, sample, options, tables)
    fields = {field for _, field in columns.mapped}
    title_is_id = "title" not in fields and not with_items and not of_items
    warnings = [*_about_columns(columns, first, name, title_is_id=title_is_id), *warnings]
    return OpenTable(tables, columns, styles, warnings, title_is_id)


def joined_to(catalogue: OpenTable, log: OpenTable) -> OpenTable:
    """Return a catalogue whose ids are those of the log: if no id is, a column that holds them is taken.

    The first rows of both are compared. If nothing joins them, a warning says so.
    """
    ids = [column for column, field in log.columns.mapped if field == "item_id"]
    own = [column for column, field in catalogue.columns.mapped if field == "item_id"]
    if not ids or (own and own[0] not in catalogue.columns.guessed and ids[0] not in log.columns.guessed):
        return catalogue
    wanted = _identifiers(next(log.files[0][1].batches(), None), ids[0])
    batch = next(catalogue.files[0][1].batches(), None)
    shares = {
        column: len(wanted & _identifiers(batch, column)) / max(len(wanted), 1)
        for column in (batch.columns if batch else ())
    }
    best = max(shares, key=lambda column: shares[column], default="")
    if own and shares.get(own[0], 0.0) > 0:
        return catalogue
    if not shares or not shares[best]:
        warning = f"no item of the catalogue's first rows is in the log: is {_shown(ids[0])!r} the id of both?"
        return replace(catalogue, warnings=[*catalogue.warnings, warning])
    mapped = [(column, field) for column, field in catalogue.columns.mapped if field != "item_id" and column != best]
    guessed = {column: field for column, field in catalogue.columns.guessed.items() if (column, field) in mapped}
    columns = replace(catalogue.columns, mapped=[*mapped, (best, "item_id")], guessed={**guessed, best: "item_id"})
    return replace(catalogue, columns=columns)


def _identifiers(batch: RawBatch | None, column: str) -> set[str]:
    """Return the ids in a column of a batch."""
    texts = batch.columns.get(column, ()) if batch else ()
    ids = set()
    for text in set(texts):
        if text is not None and not is_absent(text):
            with suppress(ValueError):
                ids.add(clean_identifier(text))
    return ids


def parts_of(folder: Path) -> list[Path]:
    """Return the data files of a folder, without marks such as `_SUCCESS` and hidden files.

    Raises:
        DataError: There is none.
    """
    parts = sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(q.startswith(("_", ".")) for q in p.relative_to(folder).parts)
    )
    parts = [part for part in parts if not part.name.endswith(".crc")]
    if not parts:
        raise DataError(f"{str(folder)!r} holds no data files")
    return parts


def _has_rows(table: Table) -> bool:
    return any(batch.lines or batch.unreadable for batch in islice(table.batches(SAMPLE_ROWS), 1))


def _sample(table: Table, name: str) -> dict[str, Sequence[str | None]]:
    batch = next(islice(table.batches(SAMPLE_ROWS), 1), None)
    if batch is not None and batch.unreadable and not batch.lines:
        raise DataError(f"no row of {name!r} can be read: {batch.unreadable[0].reason}")
    sample: dict[str, Sequence[str | None]] = {column: [] for column in table.names}
    return sample | (dict(batch.columns) if batch else {})


def _by_position(mapped: Mapped, table: Table) -> Mapped:
    """Return the mapping of a table without a header.

    Its columns are called `1`, `2`, ...; `column 1` and counting from 0 are understood too.
    """
    if table.has_header:
        return mapped
    numbers = [
        re.sub(r"^(?:column|col|c|_c|f|field)?[ _]?(\d+)$", r"\1", column.strip(), flags=re.I) for column, _ in mapped
    ]
    from_zero = "0" in numbers
    return [
        (str(int(number) + 1) if from_zero and number.isdigit() else number, name)
        for number, (_, name) in zip(numbers, mapped, strict=True)
    ]


def _check_given(table: Table, mapped: Mapped, name: str) -> None:
    names = list(table.names)
    absent = [column for column, _ in mapped if column not in names]
    again = next(
        (column for column in names if re.fullmatch(r"(.*) \(2\)", column) and _is_needed(column[:-4], mapped)), None
    )
    if again is not None:
        raise DataError(f"{name!r} has two columns {again[:-4]!r}: rename one")
    # Of JSON documents, a later line may have the column.
    if absent and not hasattr(table, "documents") and type(table).__name__ != "JsonLines":
        raise DataError(f"{name!r} has no column {', '.join(map(repr, absent))}; {_columns_are(table)}. {_ADVICE}")


_ADVICE = "Map them with --map COLUMN=FIELD"


def _is_needed(column: str, mapped: Mapped) -> bool:
    return is_field(column) or column in {given for given, _ in mapped}


def _columns_are(table: Table) -> str:
    names = [_shown(name) for name in table.names if name.strip()][:MOST_NAMES]
    return f"columns are: {', '.join(names)}" if names else "columns are: none: the file is empty"


def _of_items(columns: Columns) -> Columns:
    """Return the columns of a catalogue. Its own `time` or `rating` is no event's."""
    kept = [(c, f) for c, f in columns.mapped if f in _OF_ITEMS or f.startswith("field.") or c not in columns.guessed]
    kept = [(c, f) for c, f in kept if f not in ("user_id", "event", "rating") and not f.startswith("context.")]
    names = {column for column, _ in kept}
    return Columns(
        kept,
        {c: f for c, f in columns.guessed.items() if c in names},
        {c: f for c, f in columns.unsure.items() if c in names},
    )


def _examples(texts: Sequence[str | None]) -> str:
    """Return the first two values of a column, as short texts."""
    shown = dict.fromkeys(str(clean_text(text))[:20] for text in texts if text is not None and not is_absent(text))
    return ", ".join(list(shown)[:2])


def _check_needed(
    columns: Columns,
    table: Table,
    name: str,
    sample: Mapping[str, Sequence[str | None]],
    *,
    of_items: bool,
    with_items: bool,
) -> None:
    """Check that a column is known for each needed field.

    Raises:
        DataError: One is missing, or the table has no header and the user did not say so.
    """
    fields = {field for _, field in columns.mapped}
    missing = [] if of_items else [field for field in ("user_id", "time") if field not in fields]
    if of_items and "title" not in fields:
        missing.append("title")
    if not of_items and not {"title", "item_id"} & fields:
        missing.append("item_id" if with_items else "title")
    if not table.has_header and (missing or columns.ambiguous):
        known = [pair for pair in columns.mapped if pair[1] not in columns.ambiguous]
        rest = " ".join(f"--map N={field}" for field in dict.fromkeys([*missing, *columns.ambiguous]))
        examples = "; ".join(f"{column}: {_examples(texts)}" for column, texts in sample.items() if any(texts))
        raise DataError(
            f"{name!r} has no header, and its values leave open what the columns hold ({examples}). Name them by "
            f"number: --no-header {map_line(known)} {rest}"
        )
    if missing:
        given = [pair for pair in columns.mapped if pair[0] not in columns.guessed]
        rest = " ".join(f"--map COLUMN={field}" for field in missing)
        line = f": {map_line(columns.mapped)} {rest}" if columns.guessed or given else ""
        raise DataError(f"{name!r} has no column for {', '.join(missing)}; {_columns_are(table)}. {_ADVICE}{line}")


def _about_columns(columns: Columns, table: Table, name: str, *, title_is_id: bool) -> Iterator[str]:
    if not table.has_header and columns.guessed:
        line = map_line(sorted(columns.mapped, key=lambda pair: list(table.names).index(pair[0])))
        yield f"{name!r} has no header: columns were taken by number. To confirm or change that: --no-header {line}"
    elif columns.unsure:
        line = map_line(list(columns.unsure.items()))
        names = ", ".join(f"{_shown(column)!r} as {field}" for column, field in columns.unsure.items())
        yield f"columns were taken by their values, since their names are unknown: {names}. To confirm that: {line}"
    if title_is_id:
        yield (
            "there is no column of titles, so the ids serve as titles. A catalogue with titles can be given as "
            "--items FILE"
        )


def _styles(
    columns: Columns,
    sample: Mapping[str, Sequence[str | None]],
    options: TableOptions,
    tables: Sequence[tuple[str, Table]],
) -> tuple[Styles, list[str]]:
    """Return how the columns write their values, and what a person should check."""

    def texts(name: str) -> list[str]:
        found = [sample.get(column, ()) for column, field in columns.mapped if field == name]
        if len(found) > 1:
            found = [_joined(name, found[0], found[1])]
        return [text for column in found for text in column if text is not None and not is_absent(text)]

    mark = decimal_mark(texts("price"))
    time, warnings = _time_style(columns, texts("time"), options, tables, comma=mark == ",")
    topics = {unescaped(text) for text in texts("topics") if listed(text) is None}
    several = {text for text in topics if SEVERAL.search(text[:LONGEST_SEARCHED])}
    if several and not options.separators and len(several) >= LEAST_SEVERAL * len(topics):
        separators = Counter((SEVERAL.search(text[:LONGEST_SEARCHED]) or [""])[0].strip() for text in several)
        separator = separators.most_common(1)[0][0]
        example = min(text for text in several if separator in text)
        warnings.append(
            f"topics such as {example[:60]!r} look like several: to separate them, give --split {_quoted(separator)}"
        )
    return Styles(time, mark, options.separators), warnings


def _quoted(text: str) -> str:
    return f"'{text}'"


def _time_style(
    columns: Columns, texts: Sequence[str], options: TableOptions, tables: Sequence[tuple[str, Table]], *, comma: bool
) -> tuple[TimeStyle, list[str]]:
    zone = zone_of(options.timezone) if options.timezone else zone_of("UTC")
    style = style_given(options.time_format, zone) if options.time_format else None
    if style is not None:
        return style, []
    day_first = {"day-first": True, "month-first": False}.get(options.time_format)
    warnings: list[str] = []
    dates = [text for text in texts if _AMBIGUOUS_DATE.match(text)]
    if day_first is None and len(dates) * 2 > len(texts) > 0:
        # The first rows of a log are of one day or month, so that they seldom settle the order. The whole log does.
        names = [column for column, field in columns.mapped if field == "time"][:1]
        day_first = day_comes_first(_column(tables, names[0]))
        if day_first is None:
            day_first = comma or "/" not in dates[0] or (bool(options.timezone) and not _is_american(options.timezone))
            order = "day" if day_first else "month"
            warnings.append(
                f"times such as {dates[0][:20]!r} were read with the {order} first, which no value settles: "
                f"to change that, give --time-format {'month' if day_first else 'day'}-first"
            )
    try:
        style = guessed_style(texts, zone, day_first, fixed=bool(options.time_format))
    except ValueError as error:
        raise DataError(f"{tables[0][0]!r}: {error}") from None
    if not options.timezone and texts and is_local(texts[0]):
        warnings.append(
            "times without a zone were read as UTC. If they are local, ingest into a new store with --timezone, as in "
            "Europe/Berlin"
        )
    return style, warnings


def _is_american(timezone: str) -> bool:
    return timezone.startswith(("America/", "US/", "-"))


def _column(tables: Sequence[tuple[str, Table]], name: str) -> Iterator[str]:
    for _, table in tables:
        for batch in table.batches():
            yield from (text for text in batch.columns.get(name, ()) if text)
