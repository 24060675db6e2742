"""Tables of any container: find out what their columns hold, and read them as batches of fields."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import clean_identifier
from whimbrel.tools.sources.cells import is_absent
from whimbrel.tools.sources.columns import Columns, Mapped, guess_columns, map_line
from whimbrel.tools.sources.csv_table import open_csv
from whimbrel.tools.sources.json_table import open_json_lines, open_json_list
from whimbrel.tools.sources.parquet_table import open_parquet
from whimbrel.tools.sources.raw import RawBatch, Table
from whimbrel.tools.sources.rows import Batch, Source, Styles, is_field, is_of_item
from whimbrel.tools.sources.table_options import TableOptions
from whimbrel.tools.sources.table_styles import joined, table_styles

SAMPLE_ROWS = 1000
"""Rows from which columns and styles are guessed."""
MOST_NAMES = 60  # columns that an error lists
LONGEST_NAME = 80  # characters of the name of a column that are shown
_OF_ITEMS = ("item_id", "title", "topics", "text", "price", "image")


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
    def fingerprint(self) -> str:
        """The files, their sizes and times, and how they are read."""
        files = [(str(table.path.resolve()), table.path.stat()) for _, table in self.files]
        read = [(path, status.st_size, status.st_mtime_ns) for path, status in files]
        return repr((read, self.columns.mapped, self.styles, [getattr(t, "encoding", "") for _, t in self.files]))

    @property
    def folder(self) -> Path:
        """The folder of the files, which paths of images are relative to."""
        return self.files[0][1].path.resolve().parent

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
            columns[name] = joined(name, columns[name], texts) if name in columns else texts
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
            fingerprint=self.fingerprint,
            folder=self.folder,
        )


def _shown(name: str) -> str:
    """Return the name of a column as it is shown. A file may put any character into it."""
    return "".join(c for c in str(clean_text(name)) if c.isprintable())[:LONGEST_NAME]


_READERS: Mapping[str, Callable[[Path, TableOptions], Table]] = {
    "csv": lambda path, options: open_csv(
        path, encoding=options.encoding, header=options.header, known=[column for column, _ in options.mapped]
    ),
    "jsonl": lambda path, options: open_json_lines(path, encoding=options.encoding),
    "json": lambda path, options: open_json_list(path, encoding=options.encoding),
    "parquet": lambda path, options: open_parquet(path),
}
TABLES = tuple(_READERS)


def columns_of(path: Path, format: str, options: TableOptions) -> set[str]:
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
    styles, warnings = table_styles(columns, sample, options, tables)
    fields = {field for _, field in columns.mapped}
    title_is_id = "title" not in fields and not with_items and not of_items
    warnings = [*_about_columns(columns, first, name, title_is_id=title_is_id), *warnings]
    return OpenTable(tables, columns, styles, warnings, title_is_id)


def joined_to(catalogue: OpenTable, log: OpenTable) -> OpenTable:
    """Return a catalogue whose ids are those of the log: if no id is, a column that holds them is taken.

    The first rows of both are compared. If nothing joins them, a warning says so. Columns that the user mapped stay.
    """
    log_ids, catalogue_ids = (_id_column(table) for table in (log, catalogue))
    are_given = catalogue_ids not in catalogue.columns.guessed and log_ids not in log.columns.guessed
    if not log_ids or (catalogue_ids and are_given):
        return catalogue
    wanted = _identifiers(next(log.files[0][1].batches(), None), log_ids)
    batch = next(catalogue.files[0][1].batches(), None)
    shared = {column: len(wanted & _identifiers(batch, column)) for column in (batch.columns if batch else ())}
    if catalogue_ids and shared.get(catalogue_ids):
        return catalogue
    best = max(shared, key=lambda column: shared[column], default="")
    if not shared.get(best):
        warning = f"no item of the catalogue's first rows is in the log: is {_shown(log_ids)!r} the id of both?"
        return replace(catalogue, warnings=[*catalogue.warnings, warning])
    mapped = [(column, field) for column, field in catalogue.columns.mapped if field != "item_id" and column != best]
    guessed = {column: field for column, field in catalogue.columns.guessed.items() if (column, field) in mapped}
    columns = replace(catalogue.columns, mapped=[*mapped, (best, "item_id")], guessed={**guessed, best: "item_id"})
    return replace(catalogue, columns=columns)


def _id_column(table: OpenTable) -> str:
    return next((column for column, field in table.columns.mapped if field == "item_id"), "")


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
    # Of JSON documents, a later one may have the column.
    if absent and table.has_fixed_names:
        raise DataError(f"{name!r} has no column {', '.join(map(repr, absent))}; {_columns_are(table)}. {_ADVICE}")


_ADVICE = "Map them with --map COLUMN=FIELD"


def _is_needed(column: str, mapped: Mapped) -> bool:
    return is_field(column) or column in {given for given, _ in mapped}


def _columns_are(table: Table) -> str:
    names = [_shown(name) for name in table.names if name.strip()][:MOST_NAMES]
    return f"columns are: {', '.join(names)}" if names else "columns are: none: the file is empty"


def _of_items(columns: Columns) -> Columns:
    """Return the columns of a catalogue. Its own `time` or `rating` is no event's."""
    kept = [(c, f) for c, f in columns.mapped if f in _OF_ITEMS or is_of_item(f) or c not in columns.guessed]
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
