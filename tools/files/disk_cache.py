"""A cache on disk that several processes share. Its values can be computed again, so its errors are ignored."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


class DiskCache:
    """JSON values, keyed by name.

    When the cache is larger than `most_bytes`, the least recently used values are dropped. A damaged cache is replaced
    by an empty one. If the folder cannot be used, nothing is kept.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._cache: Any = None
        self._open()

    def get(self, names: list[str]) -> dict[str, Any]:
        """Return the values of these names, keyed by name. A name without a value is left out."""
        values: dict[str, Any] = {}

        def read() -> None:
            with self._cache.transact():  # one transaction for all names is faster than one for each
                for name in names:
                    value = self._cache.get(name)
                    if value is not None:
                        values[name] = value

        self._attempt(read)
        return values

    def put(self, values: dict[str, Any], *, seconds: float | None = None) -> None:
        """Keep values, keyed by name, for some seconds. None keeps them as long as there is space."""

        def write() -> None:
            with self._cache.transact():
                for name, value in values.items():
                    self._cache.set(name, value, expire=seconds)

        self._attempt(write)

    def close(self) -> None:
        """Close the files of the cache."""
        with suppress(Exception):
            self._cache.close()

    def _open(self) -> None:
        # By default diskcache uses pickle, which can run code that somebody put into the folder. JSON is only data.
        from diskcache import Cache, JSONDisk

        def cache() -> Any:
            return Cache(
                str(self._folder), disk=JSONDisk, size_limit=self._most_bytes, eviction_policy="least-recently-used"
            )

        try:
            self._cache = cache()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                shutil.rmtree(self._folder, ignore_errors=True)
                with suppress(Exception):
                    self._cache = cache()
        except Exception:
            self._cache = None

    def _attempt(self, operation: Callable[[], None]) -> None:
        """Run an operation on the cache and ignore its errors. If the cache is damaged, replace it by an empty one."""
        if self._cache is None:
            return
        try:
            operation()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                self.close()
                shutil.rmtree(self._folder, ignore_errors=True)
                self._open()
        except Exception:
            return


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether the database file is damaged. Other errors mean that it is busy, full or read-only."""
    return any(words in str(error) for words in ("malformed", "not a database", "disk image", "no such table"))
