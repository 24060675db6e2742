"""Read the lines of a file, plain or gzipped. No line, however long, can fill the memory."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, NamedTuple

from whimbrel.tools.errors import DataError

LONGEST_SHOWN = 1000  # characters of an unreadable line that are kept
LONGEST_LINE = 1_000_000
"""Most bytes of a line. A longer line is skipped in pieces of this size, so it is never in memory as a whole."""


class Line(NamedTuple):
    """A line without its line end.

    Attributes:
        number: The number of the line, counted from 1.
        text: The text of the line. It is empty if there is a `problem`.
        position: How many bytes of the file on disk were read up to the end of the line.
        problem: The reason why the line cannot be read. It is empty for a readable line.
    """

    number: int
    text: str
    position: int
    problem: str = ""


def read_lines(path: Path, encoding: str = "utf-8-sig") -> Iterator[Line]:
    """Yield the lines of a file that are not blank. A file whose name ends in `.gz` is unpacked while reading.

    Raises:
        DataError: The file cannot be read to its end.
    """
    with opened(path) as (file, position):
        if encoding.startswith(("utf-16", "utf-32")):  # a line end has several bytes
            for number, text in enumerate(TextIOWrapper(file, encoding, errors="replace"), start=1):
                if text.strip():
                    yield Line(number, text.rstrip("\r\n"), position())
            return
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
                # utf-8-sig drops the byte order mark that some editors write at the start of a file.
                text = data.decode("utf-8" if encoding == "utf-8-sig" and number > 1 else encoding).rstrip("\r\n")
            except UnicodeDecodeError:
                yield Line(number, "", position(), "not UTF-8" if encoding == "utf-8-sig" else f"not {encoding}")
                continue
            if text.strip():
                yield Line(number, text, position())


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], int]]]:
    """Open a file, plain or gzipped. Errors on opening and on reading are both raised as `DataError`.

    Yields:
        The file of unpacked bytes, and a function. The function returns how many bytes of the file on disk were read
        so far (0 for a pipe).

    Raises:
        DataError: The file is damaged or cannot be read.
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
