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

from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from itertools import chain
from pathlib import Path

from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.sources.amazon import is_amazon, read_amazon
from whimbrel.tools.sources.completejourney import read_completejourney
from whimbrel.tools.sources.mind import is_mind, read_mind
from whimbrel.tools.sources.movielens import read_movielens
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.tables import (
    NEEDED_OF_EVENTS,
    NEEDED_OF_ITEMS,
    Mapped,
    columns_of,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
)

ENTRY_POINT_GROUP = "whimbrel.sources"
# Published data sets have fixed columns. The columns of tables are mapped to fields.
_DATA_SETS: dict[str, Callable[[Path], Source]] = {
    "completejourney": read_completejourney,
    "movielens": read_movielens,
    "amazon": read_amazon,
    "mind": read_mind,
}
_TABLES = {"csv": read_csv, "parquet": read_parquet, "jsonl": read_jsonl, "json": read_json}
_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
}
FORMATS = (*_DATA_SETS, *_TABLES)


def open_source(source: str, *, format: str | None = None, mapped: Mapped = ()) -> Source:
    """Return the rows of a source.

    Args:
        source: A file, a folder, or `completejourney` for the installed data package. A format of another package may
            take a different kind of source.
        format: One of `format_names()`. If it is None, the format is guessed from file names or the first line.
        mapped: Pairs of column and field, for tables only.

    Raises:
        ConfigError: The format is unknown, cannot be guessed or takes no mapping, or its package is broken.
        DataError: There is no such file or folder, or it cannot be read.

    Example:
        ```python
        source = open_source("orders.csv", mapped=[("customer", "user_id"), ("product", "title"), ("day", "time")])
        ```
    """
    if format is not None and format not in FORMATS:
        return _read_by_entry_point(source, format, mapped)
    path = Path(source).expanduser()
    if source == "completejourney" and not path.exists():  # a folder of this name comes before the package
        _refuse_mapping(source, mapped)
        return read_completejourney()
    if not path.exists():
        raise DataError(f"no file or folder at {source!r}")
    name = format or _guessed_format(path, mapped)
    if name in _DATA_SETS:
        _refuse_mapping(name, mapped)
        return _DATA_SETS[name](path)
    if path.is_dir():
        raise DataError(f"{source!r} is a folder; {name} is read from one file")
    if name == "parquet" and path.suffix == ".gz":
        raise DataError(f"{source!r}: Parquet is compressed inside and not read gzipped: unpack it with gunzip first")
    return _TABLES[name](path, _once(mapped))


def open_source_with_items(source: str, items: str, *, format: str | None = None, mapped: Mapped = ()) -> Source:
    """Return the rows of a catalogue, then those of the log that it belongs to.

    Args:
        source: The log (see `open_source`).
        items: The file of the catalogue: CSV, Parquet, JSONL, or one JSON list.
        format: The format of the log; None to guess it.
        mapped: Pairs of column and field. A column may be in only one of the two files. If both files have it, facts of
            the item (`field.NAME`) are read from the catalogue, and what belongs to an event from the log.

    Raises:
        ConfigError: See `open_source`. Or neither file has a mapped column, or a field is mapped twice in one file.
        DataError: There is no such file or folder, or it cannot be read.
    """
    path = Path(items).expanduser()
    if not path.is_file():
        raise DataError(f"no file at {items!r}")
    items_format = _guessed_format(path, [("title", "title")])
    if items_format not in _TABLES:
        raise ConfigError(f"--items reads {', '.join(_TABLES)}, and {items!r} is {items_format}")
    in_items = columns_of(path, items_format)
    log = Path(source).expanduser()
    log_format = format or (_guessed_format(log, mapped) if log.exists() else None)
    is_table = log_format in _TABLES and log.is_file()
    in_log = columns_of(log, str(log_format)) if is_table else set()
    neither = [column for column, _ in mapped if column not in in_items | in_log]
    if neither:
        raise ConfigError(f"--map: neither {source!r} nor {items!r} has a column {', '.join(map(repr, neither))}")
    of_items = [pair for pair in mapped if pair[0] in in_items and not _is_of_event(pair[1])]
    of_log = [pair for pair in mapped if pair[0] in in_log and not (pair[1].startswith("field.") and pair in of_items)]
    catalogue = _TABLES[items_format](path, _once(of_items), NEEDED_OF_ITEMS)
    rows = (replace(row, catalogue=True) for row in catalogue.rows)
    if not is_table:
        _refuse_mapping(log_format or source, of_log)
        events = open_source(source, format=format)
    else:
        events = _TABLES[str(log_format)](log, _once(of_log), NEEDED_OF_EVENTS)
    total = None if catalogue.total is None or events.total is None else catalogue.total + events.total
    later = (replace(row, position=row.position + (catalogue.total or 0)) for row in events.rows)
    return Source(events.name, chain(rows, later), total)


def _is_of_event(name: str) -> bool:
    return name in {"user_id", "event", "rating"} or name.startswith("context.")


def _once(mapped: Mapped) -> Mapped:
    """Check that no field of a file is mapped twice."""
    names = [name for _, name in mapped]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"--map: field {twice!r} is mapped twice")
    return mapped


def format_names() -> list[str]:
    """Return the names of all formats: first those of this package, then those of others in alphabetical order."""
    return [*FORMATS, *sorted(set(metadata.entry_points(group=ENTRY_POINT_GROUP).names) - set(FORMATS))]


def _read_by_entry_point(source: str, format: str, mapped: Mapped) -> Source:
    """Read a source with the function that another package provides."""
    entry_point = next(iter(metadata.entry_points(group=ENTRY_POINT_GROUP, name=format)), None)
    if entry_point is None:
        raise ConfigError(f"unknown format {format!r}: give one of {', '.join(format_names())}")
    _refuse_mapping(format, mapped)
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


def _refuse_mapping(format: str, mapped: Mapped) -> None:
    if mapped:
        raise ConfigError(f"--map is for csv, parquet and jsonl; {format} has columns of its own")


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
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    raise ConfigError(f"cannot tell the format of {str(path)!r}: give --format, one of {', '.join(format_names())}")
