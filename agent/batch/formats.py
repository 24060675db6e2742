"""The formats of a file of lists: JSON lines, compressed JSON lines, and Parquet."""

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from whimbrel.tools.errors import ConfigError

ROWS = 50_000
"""About how many rows a row group of Parquet has."""


Write = Callable[[IO[bytes], Iterable[str]], None]
"""Writes answers, one JSON document each, to a file."""


def format_of(out: Path) -> Write:
    """Return what writes the format that the name of a file tells.

    Raises:
        ConfigError: the name has another suffix, or is that of a folder.
    """
    if out.is_dir():
        raise ConfigError(f"--out {str(out)!r} is a folder: name a file")
    for suffix, write in _FORMATS.items():
        if out.name.endswith(suffix):
            return write
    raise ConfigError(f"--out {str(out)!r}: the name of the file must end in one of {', '.join(_FORMATS)}")


def _write_lines(file: IO[bytes], lines: Iterable[str]) -> None:
    file.writelines(f"{line}\n".encode() for line in lines)


def _write_compressed_lines(file: IO[bytes], lines: Iterable[str]) -> None:
    # Equal lines give equal files, since neither the name nor the time is written.
    with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as compressed:
        compressed.writelines(f"{line}\n".encode() for line in lines)


def _write_parquet(file: IO[bytes], lines: Iterable[str]) -> None:
    """Write a row for each recommendation."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        {
            "user_id": pa.string(),
            "at": pa.timestamp("us", tz="UTC"),
            "rank": pa.int32(),
            "item_id": pa.string(),
            "title": pa.string(),
            "score": pa.float64(),
            "explanation": pa.string(),
            "shift_kind": pa.string(),
            "shift_confidence": pa.float64(),
            "summary": pa.string(),
            "warnings": pa.list_(pa.string()),
        }
    )
    rows = _rows(lines)
    with pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def _rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        answer = json.loads(line)
        of_user = {
            "user_id": answer["user_id"],
            "at": datetime.fromisoformat(answer["at"]),
            "shift_kind": answer["shift"]["kind"],
            "shift_confidence": answer["shift"]["confidence"],
            "summary": answer["summary"],
            "warnings": answer["warnings"],
        }
        for entry in answer["recommendations"]:
            yield of_user | {name: entry[name] for name in ("rank", "item_id", "title", "score", "explanation")}


_FORMATS: Mapping[str, Write] = {
    ".jsonl": _write_lines,
    ".jsonl.gz": _write_compressed_lines,
    ".parquet": _write_parquet,
}
"""What writes a format, keyed by the end of the file's name."""
