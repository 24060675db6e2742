"""The store: the items, topics and users' histories of a log, kept in Chroma.

It has five collections: `items` and `topics` (records with text vectors), `users` (see `user_records`), `events` (see
`journal`) and `notes` (see `notes`). Each further kind of vectors of items has one too (see `modalities`). The metadata
of the database names the format and the encoder. Both are checked when a store is opened. Data that can be derived from
the database is in files next to it: the log as arrays, clusters of items without topics, cached numbers.

An event is appended to the journal. Whoever rewrites the users' records holds the lease, so no writer undoes what
another wrote. The journal is folded into the users' records now and then.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, Self

import numpy as np

from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.files.whole_files import complete
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.log.topic_clusters import (
    LEAST_CLUSTERED_ITEMS,
    cluster_topics,
    read_clusters,
    with_cluster_topics,
    write_clusters,
)
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.records import Interaction, Item, Occurrence
from whimbrel.tools.retrieval.field_table import FieldTable
from whimbrel.tools.store.audit_log import remove_items_from_audit
from whimbrel.tools.store.caches import NUMBERS_FOLDER, NumberCache, ReadCache
from whimbrel.tools.store.chroma import COLLECTIONS, Database, connect
from whimbrel.tools.store.item_records import FROM_CATALOGUE, ItemRecord, without_times_of
from whimbrel.tools.store.journal import Journal
from whimbrel.tools.store.lease import Lease
from whimbrel.tools.store.modalities import Modalities
from whimbrel.tools.store.notes import PRIVATE, REENCODING, Notes
from whimbrel.tools.store.person_files import has_files_of, read_conversations, remove_files_of
from whimbrel.tools.store.settings import Settings
from whimbrel.tools.store.stored_log import ColumnsOf, StoredLog
from whimbrel.tools.store.user_records import UserRecords
from whimbrel.tools.text.encoder import DIMENSION, TextEncoder, Vectors, encoder_text
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

FORMAT = 4
_READ_FORMATS = (2, 3, 4)
"""Stores of format 2 keep histories as plain JSON, which is read. Those of formats 2 and 3 become format 4 when they
are opened: their notes become records."""
FOLDED_AT = 2000
"""The journal is folded into the users' records when it holds so many events."""
WAIT_SECONDS = 75.0
"""How long a change waits for the lease. That of a killed process ends before."""
NOTICED_AFTER = 1.0
"""What other processes write to a server is noticed by requests that begin so many seconds later."""
CLUSTERS_FILE = "clusters.json"
_MADE_BY = {"format": FORMAT, "encoder": ENGLISH.name, "dimension": DIMENSION}
"""What is checked when a store is opened. The encoder that a store has now is one of its notes."""


class Store:
    """An open store, made by `open_store`. Close it, or use it in a `with` block.

    Attributes:
        sensitive: Topics that it is without: none (see `WithoutTopics`).
    """

    sensitive = SensitiveTopics(())

    def __init__(self, database: Database) -> None:
        self._database = database
        self._users = UserRecords(database)
        self._notes, self._journal = Notes(database), Journal(database)
        self._lease = Lease(database, shared=database.is_shared)
        self._writing = ExitStack()
        self.settings, self.modalities = Settings(self._notes), Modalities(database)
        self._stored_log = StoredLog(database.folder, self._notes, self._users, self._journal, self._items_with_topics)
        self._habits: tuple[InteractionLog, TopicHabitsOverTime] | None = None
        self._number_caches: dict[str, NumberCache] = {}
        self._items, self._vectors = ReadCache[ItemRecord](), ReadCache[Vectors]()
        self._fields: FieldTable | None = None
        self._noticed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the store, so that other processes can open it."""
        self._writing.close()
        for cache in self._number_caches.values():
            cache.close()
        self._database.close()

    @property
    def location(self) -> str:
        """The folder or address that the store was opened with."""
        return self._database.location

    @property
    def folder(self) -> Path:
        """The folder of the files that belong to the store."""
        return self._database.folder

    # Reading.

    def refresh(self) -> None:
        """Notice what other processes wrote to a server. Requests call this when they begin."""
        if not self._database.is_shared or time.monotonic() < self._noticed + NOTICED_AFTER:
            return
        self._noticed = time.monotonic()
        generation = self._notes.generation
        self._notes.refresh()
        self._journal.refresh()
        if self._notes.generation != generation:
            self._forget_what_was_read()
        self._stored_log.follow()

    def _forget_what_was_read(self) -> None:
        for name in COLLECTIONS:
            self._database.recount(name)
        self._items, self._vectors, self._fields = ReadCache[ItemRecord](), ReadCache[Vectors](), None
        self.__dict__.pop("_clusters", None)
        self.modalities.forget()
        self._stored_log.forget()

    def history(self, user_id: str, *, before: float = np.inf) -> list[Interaction]:
        """Return the user's interactions earlier than `before`, the earliest first. There may be none.

        Raises:
            DataError: the store has no such user.
        """
        earlier = [occurrence for occurrence in self._whole_history(user_id) if occurrence.time < before]
        items = self.items({occurrence.item_id for occurrence in earlier}, before=before)
        meanings = self.settings.meanings
        return [Interaction.join(user_id, occurrence, items[occurrence.item_id], meanings) for occurrence in earlier]

    def recorded(self, user_id: str) -> set[tuple[float, str, str]]:
        """Return the keys (see `Occurrence.key`) of the user's events that Whimbrel recorded.

        Raises:
            DataError: the store has no such user.
        """
        return {occurrence.key for occurrence in self._whole_history(user_id) if occurrence.is_feedback}

    def conversations(self, user_id: str) -> dict[str, Any]:
        """Return what each saved conversation of a user remembers (see `read_conversations`)."""
        return read_conversations(self.folder, user_id)

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of the vectors of items and topics."""
        return self.settings.encoder

    @property
    def min_people(self) -> int:
        """How many people must have met an item before it is shown to others. Items that nobody met are shown."""
        return self.settings.min_people

    @property
    def marks(self) -> Mapping[str, Sequence[str]]:
        """The sensitive topics of everybody and of each person (see `Settings.marks`)."""
        return self.settings.marks

    @property
    def zone(self) -> tzinfo:
        """The zone in which people live."""
        return self.settings.zone

    def _history_or_files(self, user_id: str) -> list[Occurrence]:
        """Return a user's history. It is empty for somebody who only talked or marked topics.

        Raises:
            DataError: nothing is kept of such a user.
        """
        try:
            return self._whole_history(user_id)
        except DataError:
            if has_files_of(self.folder, user_id) or self.settings.sensitive(user_id):
                return []
            raise

    def export_history(self, user_id: str) -> list[Interaction]:
        """Return the user's interactions. There are none of somebody who only talked or marked topics.

        Raises:
            DataError: nothing is kept of such a user.
        """
        return self.history(user_id) if self._history_or_files(user_id) else []

    def _whole_history(self, user_id: str) -> list[Occurrence]:
        # The journal is read first: what is folded meanwhile is then found in the user's records.
        appended = self._journal.of(user_id)
        history = self._users.read([user_id]).get(user_id)
        if history is None and not appended:
            # Nobody else is named, since whoever asks may not be allowed to know who is there.
            known = f"no user {user_id!r} among the {len(self.log.user_ids):,} of store {self.location!r}"
            raise DataError(f"{known}: check the id as the log writes it, or talk as somebody new with `whimbrel chat`")
        if not appended:
            return history or []
        events = {occurrence.key: occurrence for occurrence in [*appended, *(history or ())]}
        return [events[key] for key in sorted(events)]

    def items(self, item_ids: Iterable[str], *, before: float = np.inf) -> dict[str, Item]:
        """Return the items of these ids, keyed by id. An unknown id is left out.

        An item without topics gets the name of its cluster as its topic.

        Args:
            item_ids: The ids.
            before: The facts of the items are those that were known just before this moment.
        """

        def read(absent: list[str]) -> dict[str, ItemRecord]:
            # Who reads an item soon reads its vector. Reading both at once takes 9 ms for 200 items, one by one 12.
            rows = self._database.get("items", absent, "metadatas", "embeddings")
            self._vectors.add(_by_id([(id_, vector) for id_, _, vector in rows]))
            records = self._decoded([(id_, metadata) for id_, metadata, _ in rows])
            items = with_cluster_topics([record.item for record in records.values()], self._clusters)
            return {item.item_id: records[item.item_id]._replace(item=item) for item in items}

        return {id_: record.as_of(before) for id_, record in self._items.get(item_ids, read).items()}

    @cached_property
    def _clusters(self) -> dict[str, str]:
        """The cluster's name for each item without topics, keyed by the item's id."""
        clusters = read_clusters(self.folder / CLUSTERS_FILE)
        return self._find_clusters() if clusters is None else clusters

    @property
    def fields(self) -> FieldTable:
        """The fields of all items as columns, one row for each item of the log."""
        if self._fields is None:
            log = self.log
            shown = np.flatnonzero(counts_before(log, np.inf).shown(self.min_people))
            ids = {log.item_ids[row] for row in shown}
            items = (item for item in self._items_with_topics() if item.item_id in ids)
            self._fields = FieldTable(items, log.item_ids)
        return self._fields

    def item_records(self, item_ids: Iterable[str]) -> dict[str, ItemRecord]:
        """Return the items of these ids as they were written, with the time since which their facts are known."""
        return self._decoded(self._database.get("items", list(item_ids), "metadatas"))

    def _decoded(self, records: Iterable[tuple[Any, ...]]) -> dict[str, ItemRecord]:
        with self._database.decoding():
            return {id_: ItemRecord.from_metadata(metadata) for id_, metadata in records}

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the unit text vectors of these items, shape (384,), keyed by id. An unknown id is left out."""

        def read(absent: list[str]) -> dict[str, Vectors]:
            return _by_id(self._database.get("items", absent, "embeddings"))

        return self._vectors.get(item_ids, read)

    def vectors_by_modality(self, item_ids: Sequence[str]) -> dict[str, dict[str, Vectors]]:
        """Return the further unit vectors of these items, keyed by modality and then by id (see `Modalities.of`)."""
        return self.modalities.of(item_ids)

    def topic_vectors(self, *, before: float = np.inf) -> dict[str, Vectors]:
        """Return the vector of each topic's name, keyed by topic, for items that appeared before `before`."""
        log = self.log
        rows, _ = log.topics_of(np.flatnonzero(counts_before(log, before).shown(self.min_people)))
        names = sorted({log.topics[row] for row in rows})
        return _by_id(self._database.get("topics", names, "embeddings"))

    def topic_names(self) -> set[str]:
        """Return the names of all topics that have a vector."""
        return {name for page in self._database.pages("topics", "embeddings") for name, _ in page}

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """Return the vectors of these topics' names, in order. A topic without a vector is left out."""
        return list(_by_id(self._database.get("topics", topics, "embeddings")).values())

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return, for each row of `vectors`, the ids of up to `n` nearest items with their cosine similarities.

        The nearest item comes first. All items are searched, also those that appear only later. Filter the result with
        `log.known(before=...)`.
        """
        return self._database.nearest("items", vectors, n=n)

    def nearest_by_modality(self, name: str, vectors: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` items nearest to the mean of vectors of a modality (see `Modalities.nearest`)."""
        return self.modalities.nearest(name, vectors, n=n)

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` users whose taste vectors are nearest. These vectors use events of all times."""
        return self._users.nearest(vector, n=n)

    @property
    def state(self) -> str:
        """A text that differs after every change of the items or the histories."""
        return " ".join([self._notes.generation, *sorted(self._journal.events())])

    def chunk_count(self) -> int:
        """Return the number of the chunks of all histories. A user has at least one."""
        return self._database.count("users")

    def item_count(self) -> int:
        """Return the number of all items, at any time."""
        return self._database.count("items")

    @property
    def log(self) -> InteractionLog:
        """The whole log as arrays."""
        return self._stored_log.get()

    def habits(self, *, before: float) -> TopicHabits | None:
        """Return the topic counts of all users, up to a moment not after `before`; None if the log is empty."""
        log = self.log
        if self._habits is None or self._habits[0] is not log:
            self._habits = log, TopicHabitsOverTime(log, self.settings.zone)
        habits = self._habits[1].before(before)
        return habits if len(habits.topics) else None

    @property
    def fitted(self) -> Path:
        """The folder of everything that was learned from this store. It may be absent."""
        folder = self.folder / "fitted"
        with suppress(OSError):  # on a read-only disk, an interrupted replacement is completed later
            complete(folder)
        return folder

    def number_cache(self, kind: str) -> NumberCache:
        """Return the store's cache for numbers of this kind."""
        return self._number_caches.setdefault(kind, NumberCache(self.folder, kind))

    # Single changes.

    def add(self, user_id: str, occurrence: Occurrence) -> None:
        """Append one event. The user's history and the log include it at once, also those of other threads.

        When this returns, the event is stored. An event that the history has already changes nothing.

        Raises:
            DataError: the store has no such item.
            StoreError: the event could not be written.
        """
        self.require_writable()
        if not self._stored_log.has_item(occurrence.item_id):
            raise DataError(f"no item {occurrence.item_id!r} in store {self.location!r}: ingest it first")
        if not self._users.lacking([(user_id, occurrence)]):
            return
        id_ = self._journal.append(user_id, occurrence)
        self._stored_log.append(id_, user_id, occurrence)
        if len(self._journal) >= FOLDED_AT:
            # Another process is writing, or the disk is full. The event is stored, and the next one tries again.
            with suppress(StoreError, OSError):
                self.fold(wait=0.0)

    def fold(self, *, wait: float = WAIT_SECONDS) -> int:
        """Write the events of the journal into the users' records, and return their number.

        After an interruption, some are in both, which every reader takes for one.

        Args:
            wait: For how many seconds to wait while another process writes.

        Raises:
            StoreError: another process is writing.
        """
        with self._lease.held(wait=wait):
            self._notes.refresh()
            self._journal.refresh()
            appended, before = self._journal.events(), self._notes.generation
            if not appended:
                return 0
            self._notes.renew()
            new = self._users.lacking(appended.values())
            by_user: dict[str, list[Occurrence]] = {}
            for user_id, occurrence in sorted(new, key=lambda event: event[1].key):
                by_user.setdefault(user_id, []).append(occurrence)
            self.merge_histories(by_user)
            self._journal.remove(list(appended))
            self._notes.renew()
            self._stored_log.extend(before, new)
            return len(appended)

    def forget(self, user_id: str) -> dict[str, int]:
        """Remove a user for good: events, saved conversations, rejected rows, and items that nobody else met.

        Items of a catalogue stay. In a folder, closing the store removes the bytes from its files. After an
        interruption, call this again to complete it.

        Returns:
            How much was removed, keyed by place. `events` counts the user's events.

        Raises:
            DataError: the store has no such user.
            StoreError: another process is writing.
        """
        with self._lease.held(wait=WAIT_SECONDS):
            history = self._history_or_files(user_id)
            self._database.purge_at_close()
            removed = remove_files_of(self.folder, user_id)
            removed["sensitive topics"] = len(self.settings.sensitive(user_id))
            self.settings.set_sensitive((), user_id)
            if not history:
                return {**removed, "events": 0, "items": 0, "topics": 0}
            log = self.log
            item_ids = sorted({occurrence.item_id for occurrence in history})
            rows = log.rows(item_ids)
            is_alone = dict(zip(item_ids, log.users_per_item(before=np.inf)[rows] == 1, strict=True))
            records = self.item_records(item_ids)
            private = {id_ for id_, r in records.items() if is_alone[id_] and r.known_since != FROM_CATALOGUE}
            self._notes.put(**{PRIVATE: json.dumps(sorted(private))})
            self._forget_times(user_id, [record for id_, record in records.items() if id_ not in private])
            removed["events"] = self._keep(user_id, lambda occurrence: False)
            removed["items"], removed["topics"] = self._remove_private_items()
            return removed

    def _forget_times(self, user_id: str, records: Sequence[ItemRecord]) -> None:
        """Remove the times of a user's events from the records of items, which say since when facts are known."""
        changed = without_times_of(user_id, records, self.log)
        if changed:
            self._notes.renew()
            self._database.update("items", {record.item.item_id: record.metadata() for record in changed})
            before = {record.item.item_id: record.item for record in records}
            items = [record for record in changed if record.item != before[record.item.item_id]]
            if items:
                self.put_items(items, self.settings.encode_items([encoder_text(record.item) for record in items]))
            self._forget_what_was_read()
            self._notes.renew()

    def _remove_private_items(self) -> tuple[int, int]:
        """Remove the items that only forgotten users met, and topics that no item has then. Return how many of each."""
        noted = json.loads(self._notes.get(PRIVATE) or "[]")
        rows = self.log.rows(noted)
        unmet = self.log.popularity(before=np.inf)[rows] == 0
        item_ids = [item_id for item_id, row, is_unmet in zip(noted, rows, unmet, strict=True) if row >= 0 and is_unmet]
        if not item_ids:
            self._notes.remove(PRIVATE)
            return 0, 0
        self._notes.renew()
        remove_items_from_audit(self.folder, item_ids)
        self._database.delete("items", item_ids)
        self.modalities.remove(item_ids)
        self._forget_what_was_read()
        self._clusters = self._find_clusters()
        topics = {topic for item in self._items_with_topics() for topic in item.topics}
        unused = sorted(self.topic_names() - topics)
        self._database.delete("topics", unused)
        self._notes.renew()
        self._stored_log.build()
        shutil.rmtree(self.folder / NUMBERS_FOLDER, ignore_errors=True)  # its numbers are keyed by titles
        self._notes.remove(PRIVATE)
        return len(item_ids), len(unused)

    def complete_forgetting(self) -> None:
        """Remove private items that a process left which was stopped while it forgot.

        Raises:
            StoreError: another process is writing.
        """
        if self._notes.get(PRIVATE) and not self._notes.unfinished:
            with self._lease.held(wait=0.0):
                self._remove_private_items()

    def remove(self, user_id: str, key: tuple[float, str, str]) -> bool:
        """Remove one event of a user, by its `Occurrence.key`. Return whether there was such an event.

        Raises:
            DataError: the store has no such user.
        """
        return self._keep(user_id, lambda occurrence: occurrence.key != key) > 0

    def _keep(self, user_id: str, is_kept: Callable[[Occurrence], bool]) -> int:
        """Remove the events of a user that are not kept. Return how many were removed."""
        with self._lease.held(wait=WAIT_SECONDS):
            self._journal.refresh()
            whole = self._whole_history(user_id)
            appended = self._journal.events().items()
            dropped = [id_ for id_, (user, event) in appended if user == user_id and not is_kept(event)]
            if dropped:
                self._journal.remove(dropped)
                self._stored_log.forget()
            history = self._users.read([user_id]).get(user_id, [])
            kept = [occurrence for occurrence in history if is_kept(occurrence)]
            if len(kept) < len(history):
                self._notes.renew()
                self._users.replace(user_id, history, kept, self.item_vectors, self.settings.meanings)
                self._notes.renew()
                self._stored_log.build()
            return sum(not is_kept(occurrence) for occurrence in whole)

    # Ingestion calls `begin`, then the writing methods in any order, then `finish`.

    def require_writable(self) -> None:
        """Raise a `StoreError` if nothing can be written: the folder is read-only, or its disk is full."""
        self._database.require_writable()

    def begin(self, source: str) -> None:
        """Mark the store as unfinished until `finish` is called for the same source. Readers refuse such a store.

        Raises:
            StoreError: another process is writing.
        """
        self._writing.enter_context(self._lease.held(wait=WAIT_SECONDS))
        self.fold()
        self._notes.begin(source)

    def finish(self, source: str, columns_of: ColumnsOf | None = None) -> None:
        """Rebuild the derived files, then mark this source as finished.

        Args:
            source: The source that was given to `begin`.
            columns_of: Returns all events of the users' records as arrays, given the sorted ids of the items. It is
                faster than reading them from the store.
        """
        self._rebuild(columns_of)
        self._notes.finish(source)
        self._writing.close()

    def complete_reencoding(self) -> None:
        """Rebuild what is derived from the vectors, and mark the store as finished."""
        self._rebuild(None)
        self._notes.remove(REENCODING)

    def _rebuild(self, columns_of: ColumnsOf | None) -> None:
        """Rebuild the derived files."""
        self._clusters, self._items = self._find_clusters(), ReadCache[ItemRecord]()
        self._notes.renew()
        self._stored_log.build(columns_of)

    def put_items(self, records: Sequence[ItemRecord], vectors: Vectors) -> None:
        """Write items with their text vectors, one row per item. An item with the same id is replaced."""
        metadatas = [record.metadata() for record in records]
        self._database.upsert("items", [record.item.item_id for record in records], vectors, metadatas)
        self._items, self._vectors = ReadCache[ItemRecord](), ReadCache[Vectors]()
        self._fields = None

    def put_topics(self, topics: Sequence[str], vectors: Vectors) -> None:
        """Write topics with the vectors of their names."""
        self._database.upsert("topics", topics, vectors)

    def merge_histories(self, histories: Mapping[str, Sequence[Occurrence]]) -> int:
        """Add events to users' histories and return the number of new events. Equal events count once."""
        return self._users.merge(histories, self.item_vectors, self.settings.meanings)

    def lacks_log_file(self) -> bool:
        """Return whether the file of the log is absent or damaged. It is built again when the log is read."""
        return not self._stored_log.is_whole()

    # Derived files.

    def _find_clusters(self) -> dict[str, str]:
        """Cluster the items that have no topics, save the clusters, and store vectors of their names."""
        with self._database.decoding():
            without_topics = {item.item_id: item for item in self._catalogue() if not item.topics}
        vectors: dict[str, Vectors] = {}
        for page in self._database.pages("items", "embeddings") if len(without_topics) >= LEAST_CLUSTERED_ITEMS else ():
            vectors.update((id_, vector) for id_, vector in page if id_ in without_topics)
        items = [item for id_, item in without_topics.items() if id_ in vectors]
        clusters = cluster_topics(items, np.array([vectors[item.item_id] for item in items], dtype=np.float32))
        with suppress(OSError):  # a store on a read-only disk can still be read
            write_clusters(self.folder / CLUSTERS_FILE, clusters)
        new_names = sorted(set(clusters.values()) - self.topic_names())
        if new_names:
            self.put_topics(new_names, self.encoder.encode(new_names))
        return clusters

    def _catalogue(self) -> Iterator[Item]:
        for page in self._database.pages("items", "metadatas"):
            for _, metadata in page:
                yield Item.model_validate_json(metadata["item"])

    def _items_with_topics(self) -> Sequence[Item]:
        with self._database.decoding():
            return with_cluster_topics(list(self._catalogue()), self._clusters)


def open_store(location: str | Path, *, create: bool = False, writing: bool = False, damaged: bool = False) -> Store:
    """Open a store.

    Args:
        location: A folder, or the address of a Chroma server (see `connect`).
        create: Whether the store is made if it is absent.
        writing: Whether an unfinished store may be opened, in order to complete it.
        damaged: Whether a damaged store is opened, in order to repair it.

    Raises:
        StoreError: the store is absent, locked, unfinished or unreachable, or has another encoder or format.

    Example:
        ```python
        with open_store("shop") as store:
            history = store.history("u1")
        ```
    """
    database = connect(str(location), create=create, writing=writing, metadata=_MADE_BY, damaged=damaged)
    try:
        _check(database, writing=writing)
    except StoreError:
        database.close()
        raise
    store = Store(database)
    with suppress(StoreError):  # another process is writing, or the disk is read-only
        store.complete_forgetting()
    return store


def _check(database: Database, *, writing: bool) -> None:
    metadata, location = database.metadata, database.location
    for key, expected in _MADE_BY.items():
        if metadata.get(key) != expected and not (key == "format" and metadata.get(key) in _READ_FORMATS):
            raise StoreError(
                f"store {location!r} was made with {key} {metadata.get(key)!r}, this version reads {expected!r}: "
                "ingest the log again into a new store"
            )
    notes = Notes(database)
    if metadata["format"] != FORMAT:
        notes.move_from(metadata)
        database.replace_metadata(_MADE_BY)
    if notes.get(REENCODING) and not writing:
        raise StoreError(
            f"store {location!r} is being re-encoded: run `whimbrel reencode --store {quote(location)}` to complete it"
        )
    if notes.unfinished and not writing:
        raise StoreError(
            f"store {location!r} is unfinished: run `whimbrel ingest {notes.unfinished[0]} --store {quote(location)}` "
            "again to complete it, or ingest into a new folder"
        )


def _by_id(records: Iterable[tuple[str, Any]]) -> dict[str, Vectors]:
    return {id_: np.asarray(vector, dtype=np.float32) for id_, vector in records}
