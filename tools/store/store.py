"""Histories, items and topics of a log, kept in Chroma, read as of a moment.

Three collections: `users` (one record a user: the history as JSON, chunked, under a taste vector), `items` and
`topics` (text vectors). What made them is noted beside them and checked at opening.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any, Self
from uuid import uuid4

import numpy as np

from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_clusters import LEAST_ITEMS, name_clusters, read_clusters, with_topics, write_clusters
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.records import Interaction, Item, Occurrence
from whimbrel.tools.store.caches import ReadCache
from whimbrel.tools.store.chroma import Database, connect
from whimbrel.tools.store.number_cache import NumberCache
from whimbrel.tools.text import encoder
from whimbrel.tools.text.encoder import Vectors

FORMAT = 2
CLUSTERS = "clusters.json"
CHUNK = 5000
"""Events of one user in one record; a longer history is rolled into several."""
EVER = -1e18
"""The time from which on a catalogue told the facts of an item: Chroma keeps no infinity."""
TASTE_HALF_LIFE = 20
"""Events after which an item weighs half as much in its user's taste vector."""

_MADE_BY = {"format": FORMAT, "encoder": encoder.NAME, "dimension": encoder.DIMENSION}
_CHUNK_MARK = "\x1f"


class Store:
    """An open store; close it, or use it in a `with` block. See `open_store`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log: InteractionLog | None = None
        self._habits: TopicHabitsOverTime | None = None
        self._unsaved = False
        self._number_caches: dict[str, NumberCache] = {}
        self._items, self._vectors = ReadCache[Item](), ReadCache[Vectors]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release it for other processes."""
        if self._unsaved:
            self._save_log()
        for remembered in self._number_caches.values():
            remembered.close()
        self._database.close()

    @property
    def location(self) -> str:
        """The folder or address that it was opened with."""
        return self._database.location

    @property
    def folder(self) -> Path:
        """Where files that belong to it are kept."""
        return self._database.folder

    # What was known at a moment.

    def history(self, user_id: str, *, before: float = np.inf) -> list[Interaction]:
        """The user's interactions earlier than `before`, from the first to the last; may be empty.

        Raises:
            DataError: the store has no such user.
        """
        occurrences = self._known(user_id)
        earlier = [occurrence for occurrence in occurrences if occurrence.time < before]
        items = self.items({occurrence.item_id for occurrence in earlier})
        return [Interaction.join(user_id, occurrence, items[occurrence.item_id]) for occurrence in earlier]

    def _known(self, user_id: str) -> list[Occurrence]:
        occurrences = self._occurrences([user_id]).get(user_id)
        if occurrences is None:
            some = ", ".join(repr(u) for u in self.log.user_ids[:3]) or "none yet"
            raise DataError(
                f"no user {user_id!r} in store {self.location!r}; it holds {len(self.log.user_ids)}: {some}, ..."
            )
        return occurrences

    def items(self, item_ids: Iterable[str]) -> dict[str, Item]:
        """The items of these ids; an id that the store does not hold is left out. Those without topics have that of
        their cluster."""

        def read(absent: list[str]) -> dict[str, Item]:
            found = with_topics([item for item, _ in self.told(absent).values()], self._clusters)
            return {item.item_id: item for item in found}

        return self._items.get(item_ids, read)

    @cached_property
    def _clusters(self) -> dict[str, str]:
        known = read_clusters(self.folder / CLUSTERS)
        return self._find_clusters() if known is None else known

    def told(self, item_ids: Iterable[str]) -> dict[str, tuple[Item, float]]:
        """The same, each with the time from which on its facts were told, -inf for a catalogue's."""
        found = self._database.get("items", list(item_ids), "metadatas")
        with self._sound():
            return {id_: (Item.model_validate_json(facts["item"]), float(facts["told"])) for id_, facts in found}

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"store {self.location!r} holds a damaged record ({type(error).__name__}): ingest into a new one"
            ) from error

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """The text vectors of these items, unit length, shape (384,) each; unknown ids are left out."""

        def read(absent: list[str]) -> dict[str, Vectors]:
            found = self._database.get("items", absent, "embeddings")
            return {id_: np.asarray(vector, dtype=np.float32) for id_, vector in found}

        return self._vectors.get(item_ids, read)

    def topic_vectors(self, *, before: float = np.inf) -> dict[str, Vectors]:
        """The vector of the name of every topic that some item known by then has."""
        log = self.log
        known = log.topics_of(np.flatnonzero(log.known(before=before)))[0]
        names = sorted({log.topics[number] for number in known})
        found = self._database.get("topics", names, "embeddings")
        return {name: np.asarray(vector, dtype=np.float32) for name, vector in found}

    def topic_names(self) -> set[str]:
        """All topics that have a vector."""
        return {id_ for page in self._database.pages("topics", "embeddings") for id_, _ in page}

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """The vectors of these topics' names, in order; a topic without one is left out."""
        return [
            np.asarray(vector, dtype=np.float32) for _, vector in self._database.get("topics", topics, "embeddings")
        ]

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """For each row of `vectors` up to `n` items, the nearest first, with their cosine similarity.

        Knows no time: filter with `log.known(before=...)`.
        """
        return self._database.nearest("items", vectors, n=n)

    def people_near(self, vector: Vectors, *, n: int) -> list[str]:
        """Up to `n` users whose taste vector, of all their events, is nearest."""
        (near,) = self._database.nearest("users", vector[None], n=n)
        return list(dict.fromkeys(id_.partition(_CHUNK_MARK)[0] for id_, _ in near))

    def item_count(self) -> int:
        """How many items there are, of whatever time."""
        return self._database.count("items")

    @property
    def timed(self) -> bool:
        """True: every event of a store has its time."""
        return True

    @property
    def log(self) -> InteractionLog:
        """The whole log as arrays, read from beside the store or, where that is stale, from the store."""
        if self._log is None:
            self._log = self._load_log()
        return self._log

    def habits(self, *, before: float) -> TopicHabits | None:
        """What everybody did, counted up to some moment before; None where that is nothing."""
        if self._habits is None:
            self._habits = TopicHabitsOverTime(self.log)
        habits = self._habits.before(before)
        return habits if len(habits.topics) else None

    @property
    def fitted(self) -> Path:
        """The folder of what was learned from this store; need not exist."""
        return self.folder / "fitted"

    def number_cache(self, kind: str) -> NumberCache:
        """Numbers of one kind that are kept beside the store."""
        return self._number_caches.setdefault(kind, NumberCache(self.folder, kind))

    # Writing.

    def add(self, user_id: str, occurrence: Occurrence) -> None:
        """One event of an item that the store holds: history, taste vector and log know it at once.

        Raises:
            DataError: no such item.
        """
        if occurrence.item_id not in self.log.item_ids:
            raise DataError(f"no item {occurrence.item_id!r} in store {self.location!r}: ingest it first")
        log = self.log
        if not self._unsaved:  # killed before the log is saved, the next reader builds it anew
            self._database.note(generation=uuid4().hex)
        if self.merge_histories({user_id: [occurrence]}):
            self._log = log.adding((occurrence.time, user_id, occurrence.item_id, occurrence.context))
            self._habits, self._unsaved = None, True

    def forget(self, user_id: str) -> int:
        """Remove a user's events; returns how many there were. Interrupted, it completes when called again.

        Raises:
            DataError: no such user.
        """
        count = len(self._known(user_id))
        self._database.note(generation=uuid4().hex)
        self._database.delete("users", [_record_id(user_id, number) for number in range(-(-count // CHUNK))])
        self._log, self._habits = self._build_log(), None
        self._save_log()
        return count

    def _save_log(self) -> None:
        """Keep the log of this generation alone."""
        path = self._log_path(self._generation)
        self.log.save(path)
        self._unsaved = False
        for old in self.folder.glob("log-*.npz"):
            if old != path:
                old.unlink(missing_ok=True)

    def begin(self, source: str) -> None:
        """Mark the store as unfinished until `finish` of the same source: a reader is told to run it again."""
        others = [other for other in _unfinished(self._database.facts) if other != source]
        self._database.note(unfinished=json.dumps([*others, source]))

    def finish(self, source: str) -> None:
        """Rebuild what is derived, then mark the store as whole, unless another source did not finish."""
        generation = uuid4().hex
        self._clusters, self._items = self._find_clusters(), ReadCache[Item]()
        self._log, self._habits = self._build_log(), None
        others = [other for other in _unfinished(self._database.facts) if other != source]
        self._database.note(generation=generation, unfinished=json.dumps(others) if others else "")
        self._save_log()

    def put_items(self, items: Sequence[Item], vectors: Vectors, told: Sequence[float]) -> None:
        """Write items with their text vectors and the time their facts were told; one of the same id is replaced."""
        metadatas = [
            {"item": item.model_dump_json(exclude_defaults=True), "told": max(time, EVER)}
            for item, time in zip(items, told, strict=True)
        ]
        self._database.upsert("items", [item.item_id for item in items], vectors, metadatas)
        self._items, self._vectors = ReadCache[Item](), ReadCache[Vectors]()

    def put_topics(self, topics: Sequence[str], vectors: Vectors) -> None:
        """Write topics with the vectors of their names."""
        self._database.upsert("topics", topics, vectors)

    def merge_histories(self, histories: Mapping[str, Sequence[Occurrence]]) -> int:
        """Add to users' histories; equal events count once. Returns how many were new."""
        stored = self._occurrences(list(histories))
        added, changed = 0, {}
        for user_id, occurrences in histories.items():
            old = {occurrence.key: occurrence for occurrence in stored.get(user_id, [])}
            union = {occurrence.key: occurrence for occurrence in occurrences} | old
            if len(union) > len(old):
                added += len(union) - len(old)
                changed[user_id] = [union[key] for key in sorted(union)]
        if changed:
            records = self._records(changed)
            vectors = np.stack([vector for _, _, vector in records])
            self._database.upsert("users", [id_ for id_, _, _ in records], vectors, [facts for _, facts, _ in records])
        return added

    def _records(self, histories: Mapping[str, list[Occurrence]]) -> list[tuple[str, dict[str, Any], Vectors]]:
        vectors = self.item_vectors(sorted({o.item_id for history in histories.values() for o in history}))
        records = []
        for user_id, history in histories.items():
            chunks = [history[start : start + CHUNK] for start in range(0, len(history), CHUNK)]
            taste = _taste([vectors[occurrence.item_id] for occurrence in history[-10 * TASTE_HALF_LIFE :]])
            for number, chunk in enumerate(chunks):
                metadata = {
                    "user_id": user_id,
                    "chunks": len(chunks),
                    "count": len(chunk),
                    "last": chunk[-1].time,
                    "events": json.dumps([_row(occurrence) for occurrence in chunk], separators=(",", ":")),
                }
                records.append((_record_id(user_id, number), metadata, taste))
        return records

    def _occurrences(self, user_ids: Sequence[str]) -> dict[str, list[Occurrence]]:
        found = self._database.get("users", [_record_id(user_id, 0) for user_id in user_ids], "metadatas")
        more = [
            _record_id(metadata["user_id"], number) for _, metadata in found for number in range(1, metadata["chunks"])
        ]
        with self._sound():
            return _histories([*found, *self._database.get("users", more, "metadatas")])

    def _find_clusters(self) -> dict[str, str]:
        """Cluster the items that have no topics, and keep what was found."""
        with self._sound():
            bare = {item.item_id: item for item in self._catalogue() if not item.topics}
        found: dict[str, Vectors] = {}
        for page in self._database.pages("items", "embeddings") if len(bare) >= LEAST_ITEMS else ():
            found.update((id_, vector) for id_, vector in page if id_ in bare)
        rows = np.array([found[id_] for id_ in bare if id_ in found], dtype=np.float32)
        clusters = name_clusters([item for id_, item in bare.items() if id_ in found], rows)
        with suppress(OSError):  # a store that cannot be written is still read
            write_clusters(self.folder / CLUSTERS, clusters)
        names = sorted(set(clusters.values()) - self.topic_names())
        if names:
            self.put_topics(names, encoder.encode(names))
        return clusters

    def _catalogue(self) -> Iterator[Item]:
        for page in self._database.pages("items", "metadatas"):
            for _, metadata in page:
                yield Item.model_validate_json(metadata["item"])

    def _build_log(self) -> InteractionLog:
        items = (item for one in self._catalogue() for item in with_topics([one], self._clusters))
        events = (
            (occurrence.time, user_id, occurrence.item_id, occurrence.context)
            for page in self._database.pages("users", "metadatas")
            for user_id, history in _histories(page).items()
            for occurrence in history
        )
        with self._sound():
            return InteractionLog.build(items, events)

    def _load_log(self) -> InteractionLog:
        path = self._log_path(self._generation)
        try:
            return InteractionLog.load(path)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            log = self._build_log()
            with suppress(OSError):  # a store that cannot be written is still read
                log.save(path)
            return log

    @property
    def _generation(self) -> str:
        """Names the state of the store after its latest finished ingestion."""
        return str(self._database.facts.get("generation", "0"))

    def _log_path(self, generation: str) -> Path:
        return self.folder / f"log-{generation}.npz"


def open_store(location: str | Path, *, create: bool = False, writing: bool = False) -> Store:
    """Open a store: a folder, or the address of a Chroma server (see `connect`).

    `create` makes it where there is none; `writing` also opens one whose ingestion did not finish.

    Raises:
        StoreError: absent, locked, unfinished, of another encoder or format, or out of reach.
    """
    database = connect(str(location), create=create, writing=writing, facts=_MADE_BY)
    try:
        _check(database, writing=writing)
    except StoreError:
        database.close()
        raise
    return Store(database)


def _check(database: Database, *, writing: bool) -> None:
    facts, location = database.facts, database.location
    for key, expected in _MADE_BY.items():
        if facts.get(key) != expected:
            raise StoreError(
                f"store {location!r} was made with {key} {facts.get(key)!r}, this version reads {expected!r}: "
                "ingest the log again into a new store"
            )
    unfinished = _unfinished(facts)
    if unfinished and not writing:
        raise StoreError(
            f"store {location!r} is unfinished: run `whimbrel ingest {unfinished[0]} --store {quote(location)}` again "
            "to complete it, or ingest into a new folder"
        )


def _unfinished(facts: Mapping[str, Any]) -> list[str]:
    """Sources of which an ingestion began and did not finish."""
    return list(json.loads(facts.get("unfinished") or "[]"))


def _record_id(user_id: str, number: int) -> str:
    return f"{user_id}{_CHUNK_MARK}{number}"


def _row(occurrence: Occurrence) -> list[Any]:
    row = list(occurrence)
    while row[-1] is None:
        row.pop()
    return row


def _histories(records: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, list[Occurrence]]:
    """Occurrences by user, in order. They were validated when written."""
    histories: dict[str, list[Occurrence]] = {}
    for _, metadata in records:
        rows = json.loads(metadata["events"])
        histories.setdefault(metadata["user_id"], []).extend(Occurrence(*row) for row in rows)
    return histories


def _taste(vectors: Sequence[Vectors]) -> Vectors:
    ages = np.arange(len(vectors))[::-1]
    mean = np.average(np.stack(vectors), axis=0, weights=0.5 ** (ages / TASTE_HALF_LIFE))
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
