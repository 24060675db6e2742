"""Adapters: a source on disk to rows. `open_source` finds the one that fits."""

from collections.abc import Sequence
from pathlib import Path

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.tables import Mapped, read_csv, read_jsonl, read_parquet

FORMATS = ("completejourney", "movielens", "amazon", "mind", "csv", "parquet", "jsonl")
_BY_SUFFIX = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_TABLES = {"csv": read_csv, "parquet": read_parquet, "jsonl": read_jsonl}


def open_source(source: str, *, format: str | None = None, mapped: Mapped = ()) -> Source:
    """The rows of a file, a folder, or `completejourney` for the installed data package.

    Raises:
        ConfigError: an unknown format, or none given and none can be told from names or the first line.
        DataError: nothing there, or it cannot be read.
    """
    if format is not None and format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}: give one of {', '.join(FORMATS)}")
    path = Path(source).expanduser()
    if source == "completejourney" and not path.exists():
        return _without_map("completejourney", mapped, None)
    if not path.exists():
        raise DataError(f"no file or folder at {source!r}")
    name = format or _guess(path, mapped)
    if name not in _TABLES:
        return _without_map(name, mapped, path)
    if path.is_dir():
        raise DataError(f"{source!r} is a folder; {name} is read from one file")
    if name == "parquet" and path.suffix == ".gz":
        raise DataError(f"{source!r}: Parquet is compressed inside and not read gzipped: unpack it with gunzip first")
    return _TABLES[name](path, mapped)


def _without_map(format: str, mapped: Mapped, path: Path | None) -> Source:
    from whimbrel.tools.sources.amazon import read_amazon
    from whimbrel.tools.sources.completejourney import read_completejourney
    from whimbrel.tools.sources.mind import read_mind
    from whimbrel.tools.sources.movielens import read_movielens

    if mapped:
        raise ConfigError(f"--map is for csv, parquet and jsonl; {format} has columns of its own")
    read = {"amazon": read_amazon, "mind": read_mind, "movielens": read_movielens}.get(format)
    return read(path) if read and path else read_completejourney(path)


def _guess(path: Path, mapped: Mapped) -> str:
    """From names, and for Amazon's files from the first line; whoever maps columns means a table."""
    from whimbrel.tools.sources.amazon import is_amazon
    from whimbrel.tools.sources.mind import is_mind

    if path.is_dir():
        names: Sequence[str] = [file.name for file in path.iterdir()]
        if {"u.data", "ratings.dat", "ratings.csv"} & set(names):
            return "movielens"
        if "transactions.parquet" in names:
            return "completejourney"
        if is_mind(path):
            return "mind"
    if not mapped and is_amazon(path):
        return "amazon"
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    raise ConfigError(f"cannot tell the format of {str(path)!r}: give --format, one of {', '.join(FORMATS)}")
