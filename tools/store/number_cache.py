"""Numbers that were dear to find, kept beside a store; losing them costs time only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from whimbrel.tools.files.disk_cache import DiskCache

MOST_BYTES = 256 << 20


class NumberCache:
    """Numbers by name, of one `kind`. Safe for several processes."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._kind = kind
        self._cache = DiskCache(folder / "remembered", most_bytes=MOST_BYTES)

    def get(self, names: Sequence[str]) -> dict[str, float]:
        """Those that are known."""
        found = self._cache.get([f"{self._kind}|{name}" for name in names])
        values = {name: found.get(f"{self._kind}|{name}") for name in names}
        return {name: value for name, value in values.items() if isinstance(value, float)}

    def put(self, values: Mapping[str, float]) -> None:
        """Keep some."""
        self._cache.put({f"{self._kind}|{name}": float(value) for name, value in values.items()})

    def close(self) -> None:
        """Release the file."""
        self._cache.close()
