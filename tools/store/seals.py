"""Seals: the checksums of the files of a store in a folder, taken when the store is closed.

Neither Chroma's index nor SQLite notices a changed byte. The index then finds other neighbours, or it crashes. An open
store has no seals, since its files change. After a crash there are none either, so its files are taken as they are.
"""

import json
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from whimbrel.tools.files.atomic import atomic_write

SEALS_FILE = "seals.json"
SEALED = ("chroma.sqlite3", "*/*.bin", "*/*.pickle")
CHUNK = 1 << 22  # bytes that are read at a time

Seal = tuple[int, int, int]
"""The size of a file, when it was changed in nanoseconds, and its CRC-32."""


class Seals:
    """The seals of a folder while its store is open."""

    def __init__(self, folder: Path) -> None:
        """Read the seals of the last time that the store was closed."""
        self._folder = folder
        self._seals = _read(folder / SEALS_FILE)

    def broken(self, *, whole: bool = False) -> list[str]:
        """Return the names of files that are not what they were when the store was closed.

        Args:
            whole: Whether all files are read. Otherwise only those are whose size or time differ, as after a copy.
        """
        names = []
        for name, seal in self._seals.items():
            facts = _facts(self._folder / name)
            if facts is None or ((whole or facts != seal[:2]) and (facts[0], _crc(self._folder / name)) != seal[::2]):
                names.append(name)
        return names

    def remove(self) -> None:
        """Remove the seals, because the files are about to change."""
        with suppress(OSError):
            (self._folder / SEALS_FILE).unlink(missing_ok=True)

    def renew(self) -> None:
        """Take the seals of all files. Files that did not change are not read again."""
        seals: dict[str, Seal] = {}
        for pattern in SEALED:
            for path in sorted(self._folder.glob(pattern)):
                name, facts = path.relative_to(self._folder).as_posix(), _facts(path)
                if facts is not None:
                    known = self._seals.get(name)
                    seals[name] = known if known and known[:2] == facts else (*facts, _crc(path))
        with suppress(OSError), atomic_write(self._folder / SEALS_FILE) as partial:  # as after a crash
            partial.write_text(json.dumps(seals), "utf-8")


def _read(path: Path) -> Mapping[str, Seal]:
    try:
        return {
            str(name): (int(size), int(changed), int(crc))
            for name, (size, changed, crc) in json.loads(path.read_text("utf-8")).items()
        }
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _facts(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value
