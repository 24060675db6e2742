"""The two caches of a store: records in memory, and numbers that take long to compute on disk."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from whimbrel.tools.files.disk_cache import DiskCache

T = TypeVar("T")

MOST_RECORDS = 50_000
MOST_BYTES = 256 << 20
NUMBERS_FOLDER = "remembered"  # part of the format on disk: stores of earlier versions have this folder


class ReadCache(Generic[T]):
    """Records that were read, keyed by id, in memory while the store is open.

    When more than `MOST_RECORDS` would be kept, the old records are dropped. Reading a whole catalogue in batches thus
    does not fill the memory.
    """

    def __init__(self) -> None:
        self._records: dict[str, T] = {}

    def get(self, ids: Iterable[str], read: Callable[[list[str]], dict[str, T]]) -> dict[str, T]:
        """Return the records of these ids, in order. An id without a record is left out.

        Args:
            ids: The ids; they may repeat.
            read: Reads the records of all ids that are not in the cache. It is called at most once.
        """
        distinct = list(dict.fromkeys(ids))
        absent = [id_ for id_ in distinct if id_ not in self._records]
        fresh = read(absent) if absent else {}
        records = {id_: self._records[id_] if id_ in self._records else fresh.get(id_) for id_ in distinct}
        self.add(fresh)
        return {id_: record for id_, record in records.items() if record is not None}

    def add(self, records: Mapping[str, T]) -> None:
        """Keep records that were read."""
        if len(self._records) + len(records) > MOST_RECORDS:
            self._records.clear()
        self._records |= records


class NumberCache:
    """Numbers of one `kind`, keyed by name, in a folder of the store. Several processes may use it at once.

    Errors of the disk are ignored, since a lost number can be computed again.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     cache = NumberCache(Path(folder), "likelihood")
        ...     cache.put({"Green tea": -2.5})
        ...     print(cache.get(["Green tea", "Rake"]))
        ...     cache.close()
        {'Green tea': -2.5}
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._kind = kind
        self._cache = DiskCache(folder / NUMBERS_FOLDER, most_bytes=MOST_BYTES)

    def get(self, names: Sequence[str]) -> dict[str, float]:
        """Return the cached number of each of these names. A name without a number is left out."""
        stored = self._cache.get([self._key(name) for name in names])
        values = {name: stored.get(self._key(name)) for name in names}
        return {name: value for name, value in values.items() if isinstance(value, float)}

    def put(self, values: Mapping[str, float]) -> None:
        """Store numbers, keyed by name."""
        self._cache.put({self._key(name): float(value) for name, value in values.items()})

    def close(self) -> None:
        """Close the files of the cache."""
        self._cache.close()

    def _key(self, name: str) -> str:
        return f"{self._kind}|{name}"
