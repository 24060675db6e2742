"""The lines that a person typed, kept for the next conversation in a file that only this person can read."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from whimbrel.tools.files.atomic import atomic_write

MOST_LINES = 200
LONGEST_LINE = 2_000
"""Characters of a line. What is longer was pasted by mistake."""


def one_line(text: str) -> str:
    r"""Return a typed or pasted text as one line without control characters.

    Example:
        >>> one_line("no horror\n\x1b[31mno war ")
        'no horror [31mno war'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_LINE]


class LineHistory:
    """The latest lines, the oldest first. If the file cannot be used, nothing is kept."""

    def __init__(self, path: Path) -> None:
        """Read the lines of earlier conversations, and shorten a file that grew long."""
        self._path = path
        self.lines: Sequence[str] = ()
        with suppress(OSError):
            lines = [line for line in path.read_text("utf-8", errors="replace").split("\n") if line]
            self.lines = lines[-MOST_LINES:]
            path.chmod(0o600)
            if len(lines) > MOST_LINES:
                with atomic_write(path) as partial:
                    _append(partial, self.lines)

    def add(self, line: str) -> None:
        """Keep a line."""
        if kept := one_line(line):
            with suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                _append(self._path, [kept])


def _append(path: Path, lines: Sequence[str]) -> None:
    """Append lines to a file. A new file is private from its first byte."""
    with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
