"""Lines of a file, plain or gzipped, of which no single one can fill the memory."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from whimbrel.tools.errors import DataError

LONGEST_LINE = 1_000_000
"""Bytes; a longer line is passed over in pieces of this size, never held."""


class Line(NamedTuple):
    """A line without its end. `number` counts from 1, `position` is how much of the file on disk is read; `problem`
    says why there is no `text`."""

    number: int
    text: str
    position: int
    problem: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file in UTF-8 that are not empty; read gzipped where the name ends in `.gz`.

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
                text = data.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield Line(number, "", position(), "not UTF-8")
                continue
            if text.strip():
                yield Line(number, text, position())


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """The bytes of a file, and a function that tells how much of it on disk is read.

    Raises:
        DataError: it is damaged or cannot be read; also where that shows only while reading.
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
