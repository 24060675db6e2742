"""Formats: find the adapter that reads a source.

Another package adds a format through an entry point of the group `whimbrel.sources`:

    [project.entry-points."whimbrel.sources"]
    lastfm = "lastfm_log:read_lastfm"

The function takes the SOURCE that the user gave, and returns the rows:

    def read_lastfm(path: str) -> Source:
        return Source("lastfm", rows=..., total=None)

Then `whimbrel ingest PATH --format lastfm` reads this format. Such a format must always be named with --format. It
cannot replace a format of this package.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from itertools import chain
from pathlib import Path

from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.sources.amazon import is_amazon, read_amazon
from whimbrel.tools.sources.columns import Mapped
from whimbrel.tools.sources.completejourney import read_completejourney
from whimbrel.tools.sources.lines import opened
from whimbrel.tools.sources.mind import is_mind, read_mind
from whimbrel.tools.sources.movielens import read_movielens
from whimbrel.tools.sources.rows import Batch, Source, is_of_item, shifted
from whimbrel.tools.sources.table_options import TableOptions
from whimbrel.tools.sources.tables import TABLES, columns_of, joined_to, open_table, parts_of

ENTRY_POINT_GROUP = "whimbrel.sources"
# Published data sets have fixed columns. The columns of tables are mapped to fields.
_DATA_SETS: dict[str, Callable[[Path], Source]] = {
    "completejourney": read_completejourney,
    "movielens": read_movielens,
    "amazon": read_amazon,
    "mind": read_mind,
}
_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
FORMATS = (*_DATA_SETS, *TABLES)
_SPARE_FIELDS = ("time", "topics")
"""Fields that two columns may hold together: a date and its clock, or a category and its subcategory."""


def open_source(
    source: str, *, format: str | None = None, mapped: Mapped = (), options: TableOptions | None = None
) -> Source:
    """Return the rows of a source.

    Args:
        source: A file, a folder, or `completejourney` for the installed data package. A format of another package may
            take a different kind of source.
        format: One of `format_names()`. If it is None, the format is guessed from file names or the first line.
        mapped: Pairs of column and field, for tables only. Further columns are guessed.
        options: How a table is to be read. `mapped` comes before its own pairs.

    Raises:
        ConfigError: The format is unknown, cannot be guessed or takes no options, or its package is broken.
        DataError: There is no such file or folder, or it cannot be read.

    Example:
        ```python
        source = open_source("orders.csv", mapped=[("customer", "user_id"), ("product", "title"), ("day", "time")])
        ```
    """
    options = _with_map(options, mapped)
    if format is not None and format not in FORMATS:
        return _read_by_entry_point(source, format, options)
    path = Path(source).expanduser()
    if source == "completejourney" and not path.exists():  # a folder of this name comes before the package
        _refuse_options(source, options)
        return read_completejourney()
    if not path.exists():
        raise DataError(f"no file or folder at {source!r}")
    _check_regular(path)
    name = format or _guessed_format(path, options.mapped)
    if name in _DATA_SETS:
        _refuse_options(name, options)
        return _DATA_SETS[name](path)
    _check_packing(path, name)
    return open_table(path, name, _once(options)).source(path.resolve().name if path.is_dir() else path.name)


def open_source_with_items(
    source: str, items: str, *, format: str | None = None, mapped: Mapped = (), options: TableOptions | None = None
) -> Source:
    """Return the rows of a catalogue, then those of the log that it belongs to.

    Args:
        source: The log (see `open_source`).
        items: The file of the catalogue: CSV, Parquet, JSONL, or one JSON list.
        format: The format of the log; None to guess it.
        mapped: Pairs of column and field. A column may be in only one of the two files. If both files have it, facts of
            the item (`field.NAME`) are read from the catalogue, and what belongs to an event from the log.
        options: How both tables are to be read. `mapped` comes before its own pairs.

    Raises:
        ConfigError: See `open_source`. Or neither file has a mapped column, or a field is mapped twice in one file.
        DataError: There is no such file or folder, or it cannot be read.
    """
    options = _with_map(options, mapped)
    mapped = options.mapped
    path = Path(items).expanduser()
    if not path.exists():
        raise DataError(f"no file at {items!r}")
    _check_regular(path)
    items_format = _guessed_format(path, [("title", "title")])
    if items_format not in TABLES:
        raise ConfigError(f"--items reads {', '.join(TABLES)}, and {items!r} is {items_format}")
    of_catalogue = replace(options, header=None)
    in_items = columns_of(_first_part(path), items_format, of_catalogue)
    log = Path(source).expanduser()
    log_format = format or (_guessed_format(log, mapped) if log.exists() else None)
    is_table = log_format in TABLES and log.exists()
    in_log = columns_of(_first_part(log), str(log_format), options) if is_table else set()
    neither = [column for column, _ in mapped if column not in in_items | in_log]
    if neither and options.header is not False:
        raise ConfigError(f"--map: neither {source!r} nor {items!r} has a column {', '.join(map(repr, neither))}")
    of_items = [pair for pair in mapped if pair[0] in in_items and not _is_of_event(pair[1])]
    of_log = [
        pair
        for pair in mapped
        if (pair[0] in in_log or pair in [(column, field) for column, field in mapped if column in neither])
        and not (is_of_item(pair[1]) and pair in of_items)
    ]
    catalogue = open_table(path, items_format, _once(replace(of_catalogue, mapped=of_items)), of_items=True)
    if not is_table:
        _refuse_options(log_format or source, replace(options, mapped=of_log))
        events = open_source(source, format=format)
    else:
        table = open_table(log, str(log_format), _once(replace(options, mapped=of_log)), with_items=True)
        catalogue = joined_to(catalogue, table)
        events = table.source(log.name)
    total = None if events.total is None else catalogue.total + events.total
    later: Iterator[Batch] = (shifted(batch, catalogue.total) for batch in events.batches())
    return Source(
        events.name,
        total=total,
        columns=chain(catalogue.batches(catalogue=True), later),
        guessed={**catalogue.columns.guessed, **events.guessed},
        warnings=[*catalogue.warnings, *events.warnings],
        unused=[*catalogue.unused, *events.unused],
        fingerprint=f"{catalogue.fingerprint}\n{events.fingerprint}" if events.fingerprint else "",
        folder=catalogue.folder if "image" in {name for _, name in catalogue.columns.mapped} else events.folder,
    )


def _with_map(options: TableOptions | None, mapped: Mapped) -> TableOptions:
    options = options or TableOptions()
    return replace(options, mapped=[*mapped, *options.mapped])


def _first_part(path: Path) -> Path:
    return parts_of(path)[0] if path.is_dir() else path


def _check_regular(path: Path) -> None:
    """Refuse a pipe. A log is read several times: to find out its form, and then its rows."""
    if not path.is_file() and not path.is_dir():
        raise DataError(f"{str(path)!r} is no regular file: save what it gives to a file, and ingest that")


def _check_packing(path: Path, format: str) -> None:
    if format == "parquet" and path.suffix == ".gz":
        raise DataError(
            f"{str(path)!r}: Parquet is compressed inside and not read gzipped: unpack it with gunzip first"
        )


def _is_of_event(name: str) -> bool:
    return name in {"user_id", "event", "rating"} or name.startswith("context.")


def _once(options: TableOptions) -> TableOptions:
    """Check that no field of a file is mapped twice, unless two columns may hold it together."""
    names = [name for _, name in options.mapped]
    twice = next((name for name in names if names.count(name) > 1 + (name in _SPARE_FIELDS)), None)
    if twice:
        raise ConfigError(f"--map: field {twice!r} is mapped twice")
    return options


def format_names() -> list[str]:
    """Return the names of all formats: first those of this package, then those of others in alphabetical order."""
    return [*FORMATS, *sorted(set(metadata.entry_points(group=ENTRY_POINT_GROUP).names) - set(FORMATS))]


def _read_by_entry_point(source: str, format: str, options: TableOptions) -> Source:
    """Read a source with the function that another package provides."""
    entry_point = next(iter(metadata.entry_points(group=ENTRY_POINT_GROUP, name=format)), None)
    if entry_point is None:
        raise ConfigError(f"unknown format {format!r}: give one of {', '.join(format_names())}")
    _refuse_options(format, options)
    try:
        read: Callable[[str], object] = entry_point.load()
    # Every exception is caught, since code of another package runs here.
    except Exception as error:
        raise ConfigError(
            f"format {format!r} cannot be loaded from {entry_point.value!r} ({type(error).__name__}: {error})"
        ) from error
    try:
        opened = read(source)
    except (WhimbrelError, OSError):
        raise
    except Exception as error:
        raise DataError(f"format {format!r}: {entry_point.value!r} failed ({type(error).__name__}: {error})") from error
    if not isinstance(opened, Source):
        raise ConfigError(
            f"format {format!r}: {entry_point.value!r} returned {type(opened).__name__}, expected a Source of "
            "whimbrel.tools.sources.rows"
        )
    return opened


def _refuse_options(format: str, options: TableOptions) -> None:
    if options.mapped:
        raise ConfigError(f"--map is for csv, parquet and jsonl; {format} has columns of its own")
    if options != TableOptions(mapped=options.mapped):
        raise ConfigError(
            f"{format} has a form of its own: the options of tables (--split, --time-format, ...) are not for it"
        )


def _guessed_format(path: Path, mapped: Mapped) -> str:
    """Guess the format from the file names or, for Amazon's files, from the first line."""
    if path.is_dir():
        names = {file.name for file in path.iterdir()}
        if {"u.data", "ratings.dat", "ratings.csv"} & names:
            return "movielens"
        if "transactions.parquet" in names:
            return "completejourney"
        if is_mind(path):
            return "mind"
    # The columns of Amazon's files have a fixed meaning. A user who maps them wants the file read as a table.
    if not mapped and is_amazon(path):
        return "amazon"
    if path.is_dir():
        formats = {_table_format(part) for part in parts_of(path)}
        if len(formats) == 1 and None not in formats:
            return str(formats.pop())
        raise ConfigError(
            f"cannot tell the format of the folder {str(path)!r}: give --format, one of {', '.join(format_names())}"
        )
    container = _table_format(path)
    if container is None:
        raise ConfigError(f"cannot tell the format of {str(path)!r}: give --format, one of {', '.join(format_names())}")
    return container


def _table_format(path: Path) -> str | None:
    """Return the container of a file, from its name and its first bytes; None if it is unknown."""
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    named = _BY_SUFFIX.get(suffix.lower())
    if named in ("parquet", "csv"):
        return named
    with opened(path) as (file, _):
        head = file.read(4096)
    if head.startswith(b"PAR1"):
        return "parquet"
    text = head.decode("utf-8-sig", "replace").lstrip()
    # Files of JSON lines are often called .json.
    if text.startswith("{") and named in ("json", None):
        first, newline, rest = text.partition("\n")
        if newline and first.rstrip().endswith("}") and rest.lstrip().startswith("{"):
            return "jsonl"
    if named is None and text.startswith("["):
        return "json"
    if named is None and suffix.lower() in (".txt", ".dat", ".log", ".data", "") and "\n" in text:
        return "csv"
    return named
