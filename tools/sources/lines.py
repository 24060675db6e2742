"""Lines of a file, plain or gzipped, none of which can fill the memory."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from whimbrel.tools.errors import DataError

LONGEST_LINE = 1_000_000
"""Bytes of a line. A longer one is skipped in pieces of this size and never held as a whole."""


class Line(NamedTuple):
    """A line without its end.

    Attributes:
        number: Counts from 1.
        text: Empty if there is a `problem`.
        position: How many bytes of the file on disk were read by the end of the line.
        problem: Why the line cannot be read; empty if it can.
    """

    number: int
    text: str
    position: int
    problem: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file that are not blank. A file whose name ends in `.gz` is read gzipped.

    Raises:
        DataError: the file cannot be read to its end.
    """
    with opened(path) as (file, position):
        number = 0
        while data := file.readline(LONGEST_LINE + 1):
            number += 1
            size = len(data)
            while size > LONGEST_LINE and not data.endswith(b"\n") and (data := file.readline(LONGEST_LINE)):
                size += len(data)
            if size > LONGEST_LINE:
                yield Line(number, "", position(), f"line of {size} bytes")
                continue
            try:
                # utf-8-sig drops the byte order mark that some editors write at the beginning of a file.
                text = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield Line(number, "", position(), "not UTF-8")
                continue
            if text.strip():
                yield Line(number, text, position())


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """Open a file, plain or gzipped, and report its errors as `DataError`, also those that appear while it is read.

    Yields:
        The unpacked bytes, and a function that returns how many bytes of the file on disk were read (0 for a pipe).

    Raises:
        DataError: the file is damaged or cannot be read.
    """
    try:
        with path.open("rb") as raw:
            file: IO[bytes] = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw  # type: ignore[assignment]
            yield file, raw.tell if raw.seekable() else lambda: 0
    except EOFError as error:
        raise DataError(f"{str(path)!r} is truncated: the compressed data ends too early; fetch it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{str(path)!r} is damaged: {error}; fetch it again") from error
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
