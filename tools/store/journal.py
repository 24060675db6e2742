"""The journal: events that were appended to a store and are not yet in the users' records.

Each event is a record of its own, so no writer rewrites what another wrote. The id of a record is made of the user and
the event. An event that is appended twice is thus one record.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from whimbrel.tools.records import Occurrence
from whimbrel.tools.store.chroma import Database

COLLECTION = "events"


class Journal:
    """The appended events of all users, in memory and in Chroma. Several threads may use it at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._events: dict[str, tuple[str, Occurrence]] | None = None

    def __len__(self) -> int:
        with self._lock:
            return len(self._known())

    def append(self, user_id: str, occurrence: Occurrence) -> str:
        """Write one event, and return the id of its record. When this returns, the event is kept whatever happens."""
        id_ = _record_id(user_id, occurrence)
        self._database.put(COLLECTION, {id_: {"user": user_id, "event": json.dumps(occurrence)}})
        with self._lock:
            self._known()[id_] = user_id, occurrence
        return id_

    def of(self, user_id: str) -> list[Occurrence]:
        """Return the appended events of a user."""
        return [occurrence for user, occurrence in self.events().values() if user == user_id]

    def events(self) -> Mapping[str, tuple[str, Occurrence]]:
        """Return the users with their appended events, keyed by the ids of the records."""
        with self._lock:
            return dict(self._known())

    def remove(self, ids: Sequence[str]) -> None:
        """Remove records: events that are now in the users' records, or that must not be kept."""
        self._database.delete(COLLECTION, ids)
        with self._lock:
            for id_ in ids:
                self._known().pop(id_, None)

    def refresh(self) -> None:
        """Read the journal anew, so that later writes of other processes are noticed."""
        with self._lock:  # what is appended meanwhile is added afterwards
            self._events = self._read()

    def _known(self) -> dict[str, tuple[str, Occurrence]]:
        if self._events is None:
            self._events = self._read()
        return self._events

    def _read(self) -> dict[str, tuple[str, Occurrence]]:
        self._database.recount(COLLECTION)
        with self._database.decoding():
            return {
                id_: (str(metadata["user"]), Occurrence(*json.loads(metadata["event"])))
                for page in self._database.pages(COLLECTION, "metadatas")
                for id_, metadata in page
            }


def _record_id(user_id: str, occurrence: Occurrence) -> str:
    return blake2b(json.dumps([user_id, *occurrence.key]).encode(), digest_size=16).hexdigest()
