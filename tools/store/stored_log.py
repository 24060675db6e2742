"""The log of a store as arrays: the users' records, from a file next to the store, with the events of the journal.

The file holds the users' records alone. Its name contains the generation of the store, which changes whenever these
records do. A reader thus knows a stale file by its name, and builds the log again. Appended events are few, so they are
added whenever the log is read.
"""

import hashlib
import threading
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.appended import with_events
from whimbrel.tools.log.event_columns import EventColumns
from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.records import Item, Occurrence
from whimbrel.tools.store.journal import Journal
from whimbrel.tools.store.notes import Notes
from whimbrel.tools.store.user_records import UserRecords

CHECKSUM = ".sha256"
"""The suffix of the file that holds the checksum of the log's file."""
ColumnsOf = Callable[[list[str]], EventColumns]


class StoredLog:
    """The log of a store. Several threads may use it at once."""

    def __init__(
        self, folder: Path, notes: Notes, users: UserRecords, journal: Journal, catalogue: Callable[[], Sequence[Item]]
    ) -> None:
        """Make the log, which is read when it is asked for.

        Args:
            folder: The folder of the file.
            notes: Where the generation is noted.
            users: The users' records.
            journal: The events that are not in them.
            catalogue: Returns all items, with their topics.
        """
        self._folder, self._notes, self._users, self._journal = folder, notes, users, journal
        self._catalogue = catalogue
        self._lock = threading.RLock()
        self._log: InteractionLog | None = None
        self._applied: set[str] = set()
        self._pending: list[EventRow] = []

    def get(self) -> InteractionLog:
        """Return the log with all events that are stored."""
        with self._lock:
            if self._log is None:
                self._log, self._pending = self._read(), []
            if self._pending:
                self._log, self._pending = with_events(self._log, self._pending), []
            return self._log

    def is_whole(self) -> bool:
        """Return whether there is a file of the present generation, as it was written."""
        return self._load(self._notes.generation) is not None

    def has_item(self, item_id: str) -> bool:
        """Return whether the log has an item. Unlike `get`, this does not add what was appended lately."""
        with self._lock:
            log = self.get() if self._log is None else self._log
        return bool(log.rows([item_id])[0] >= 0)

    def append(self, id_: str, user_id: str, occurrence: Occurrence) -> None:
        """Add an event of the journal, unless the log has it.

        Args:
            id_: The id of its record.
            user_id: The user.
            occurrence: The event.
        """
        with self._lock:
            if self._log is not None and id_ not in self._applied:
                self._applied.add(id_)
                self._pending.append(_row(user_id, occurrence))

    def follow(self) -> None:
        """Add the events that other processes appended to the journal."""
        events = self._journal.events()
        with self._lock:
            if self._applied - events.keys():  # somebody removed an event
                self._log = None
        for id_, (user_id, occurrence) in events.items():
            self.append(id_, user_id, occurrence)

    def forget(self) -> None:
        """Read the log anew when it is asked for next."""
        with self._lock:
            self._log = None

    def build(self, columns_of: ColumnsOf | None = None) -> None:
        """Build the file from the users' records, which must not change meanwhile.

        Args:
            columns_of: Returns all events of the users' records as arrays, given the sorted ids of the items. It is
                faster than reading the records.
        """
        items = self._catalogue()
        if columns_of:
            base = InteractionLog.of_columns(items, columns_of(sorted(item.item_id for item in items)))
        else:
            base = InteractionLog.of_histories(items, self._users.chunks())
        self._save(base)

    def extend(self, generation: str, events: Sequence[tuple[str, Occurrence]]) -> None:
        """Write the file of the present generation: that of an earlier one, with events that it lacks."""
        base = self._load(generation)
        if base is None:
            self.build()
        else:
            self._save(with_events(base, [_row(user_id, occurrence) for user_id, occurrence in events]))

    def _read(self) -> InteractionLog:
        while True:
            # The journal is read first: what leaves it meanwhile is in the users' records, and the generation tells.
            self._journal.refresh()
            events = self._journal.events()
            generation = self._notes.generation
            base = self._load(generation)
            if base is None:
                with suppress(OSError):  # a store on a read-only disk can still be read
                    self.build()
                base = self._load(generation) or InteractionLog.of_histories(self._catalogue(), self._users.chunks())
            # An interrupted fold leaves events both in the journal and in the users' records.
            rows = [_row(user_id, event) for user_id, event in self._users.lacking(events.values())]
            self._notes.refresh()
            if self._notes.generation == generation:
                self._applied = set(events)
                return with_events(base, rows)

    def _load(self, generation: str) -> InteractionLog | None:
        """Return the log of a file; None if it is absent or damaged."""
        path = self._path(generation)
        try:
            # A damaged array may look whole, so the file is compared with its checksum first.
            if path.with_suffix(CHECKSUM).read_text("ascii") != _checksum(path):
                return None
            return InteractionLog.load(path)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def _save(self, base: InteractionLog) -> None:
        """Write the file of the present generation, and remove those of earlier ones."""
        path = self._path(self._notes.generation)
        base.save(path)
        with atomic_write(path.with_suffix(CHECKSUM)) as partial:
            partial.write_text(_checksum(path), "ascii")
        self.forget()
        for suffix in (path.suffix, CHECKSUM):
            for old in self._folder.glob(f"log-*{suffix}"):
                if old.stem != path.stem:
                    old.unlink(missing_ok=True)

    def _path(self, generation: str) -> Path:
        return self._folder / f"log-{generation}.npz"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(user_id: str, occurrence: Occurrence) -> EventRow:
    return occurrence.time, user_id, occurrence.item_id, occurrence.context
