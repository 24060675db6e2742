"""A cache on disk for several processes at once; what it holds can be found anew, so it never fails a caller."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


class DiskCache:
    """JSON values by name, the least recently used of which go past `most_bytes`. Reads nothing and keeps nothing where
    the folder cannot be used; one that is damaged is begun anew."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._cache: Any = None
        self._open()

    def get(self, names: list[str]) -> dict[str, Any]:
        """Values of the names that are known."""
        found: dict[str, Any] = {}

        def read() -> None:
            with self._cache.transact():
                for name in names:
                    value = self._cache.get(name)
                    if value is not None:
                        found[name] = value

        self._tried(read)
        return found

    def put(self, values: dict[str, Any], *, seconds: float | None = None) -> None:
        """Keep values, for good or for so long."""

        def write() -> None:
            with self._cache.transact():
                for name, value in values.items():
                    self._cache.set(name, value, expire=seconds)

        self._tried(write)

    def close(self) -> None:
        """Release it."""
        with suppress(Exception):
            self._cache.close()

    def _open(self) -> None:
        from diskcache import Cache, JSONDisk  # JSON: its own format would run code found in the folder

        def cache() -> Any:
            return Cache(
                str(self._folder), disk=JSONDisk, size_limit=self._most_bytes, eviction_policy="least-recently-used"
            )

        try:
            self._cache = cache()
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                shutil.rmtree(self._folder, ignore_errors=True)
                with suppress(Exception):
                    self._cache = cache()
        except Exception:
            self._cache = None

    def _tried(self, work: Callable[[], None]) -> None:
        if self._cache is None:
            return
        try:
            work()
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                self.close()
                shutil.rmtree(self._folder, ignore_errors=True)
                self._open()
        except Exception:
            return


def _damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no whole database, rather than busy, full or read-only."""
    return any(words in str(error) for words in ("malformed", "not a database", "disk image", "no such table"))
