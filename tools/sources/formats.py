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
from importlib import metadata
from pathlib import Path

from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError
from whimbrel.tools.sources.amazon import is_amazon, read_amazon
from whimbrel.tools.sources.completejourney import read_completejourney
from whimbrel.tools.sources.mind import is_mind, read_mind
from whimbrel.tools.sources.movielens import read_movielens
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.tables import Mapped, read_csv, read_jsonl, read_parquet

ENTRY_POINT_GROUP = "whimbrel.sources"
# Published data sets have fixed columns. The columns of tables are mapped to fields.
_DATA_SETS: dict[str, Callable[[Path], Source]] = {
    "completejourney": read_completejourney,
    "movielens": read_movielens,
    "amazon": read_amazon,
    "mind": read_mind,
}
_TABLES = {"csv": read_csv, "parquet": read_parquet, "jsonl": read_jsonl}
_BY_SUFFIX = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
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
    return _TABLES[name](path, mapped)


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
