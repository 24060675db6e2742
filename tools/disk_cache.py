"""A cache on disk for several processes at once; what it holds can be found anew, so it never fails a caller."""

from contextlib import suppress
from pathlib import Path
from typing import Any


class DiskCache:
    """JSON values by name, the least recently used of which go past `most_bytes`. Reads nothing and keeps nothing where
    the folder cannot be used."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._cache: Any = None
        with suppress(Exception):
            from diskcache import Cache, JSONDisk  # JSON: its own format would run code found in the folder

            self._cache = Cache(
                str(folder), disk=JSONDisk, size_limit=most_bytes, eviction_policy="least-recently-used"
            )

    def get(self, names: list[str]) -> dict[str, Any]:
        """Values of the names that are known."""
        found: dict[str, Any] = {}
        with suppress(Exception), self._cache.transact():
            for name in names:
                value = self._cache.get(name)
                if value is not None:
                    found[name] = value
        return found

    def put(self, values: dict[str, Any], *, seconds: float | None = None) -> None:
        """Keep values, for good or for so long."""
        with suppress(Exception), self._cache.transact():
            for name, value in values.items():
                self._cache.set(name, value, expire=seconds)

    def close(self) -> None:
        """Release it."""
        with suppress(Exception):
            self._cache.close()
