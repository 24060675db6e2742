"""What was read from a store, kept while it is open."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

MOST = 50_000
"""Records kept; then all are dropped and read anew."""


class ReadCache(Generic[T]):
    """Records by id; what is absent is read together."""

    def __init__(self) -> None:
        self._known: dict[str, T] = {}

    def get(self, ids: Iterable[str], read: Callable[[list[str]], dict[str, T]]) -> dict[str, T]:
        """Those of these ids that there are, in order; `read` gets the ids that are not known yet."""
        asked = list(dict.fromkeys(ids))
        absent = [id_ for id_ in asked if id_ not in self._known]
        found = read(absent) if absent else {}
        known = {id_: self._known[id_] if id_ in self._known else found.get(id_) for id_ in asked}
        if len(self._known) + len(found) > MOST:
            self._known.clear()
        self._known |= found
        return {id_: record for id_, record in known.items() if record is not None}
