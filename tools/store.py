"""Histories, items and topics in Chroma, embedded in a folder or on a server, read as of a moment.

Three collections: `users` (one record a user: the history as JSON, chunked, under a taste vector), `items` and
`topics` (text vectors). What made them stands in the metadata of `items` and is checked at opening.
"""

import json
import logging
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np

from whimbrel.tools import encoder
from whimbrel.tools.encoder import Vectors
from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.folders import cache_folder
from whimbrel.tools.interaction_log import InteractionLog
from whimbrel.tools.locks import exclusive
from whimbrel.tools.records import Interaction, Item, Occurrence

FORMAT = 1
CHUNK = 5000
"""Events of one user in one record; a longer history is rolled into several."""
BATCH = 2000
"""Records of one write or one page: Chroma takes at most 5,461."""
TASTE_HALF_LIFE = 20
"""Events after which an item weighs half as much in its user's taste vector."""

_COLLECTIONS = ("items", "users", "topics")
_CHUNK_MARK = "\x1f"


@dataclass
class Store:
    """An open store; close it, or use it in a `with` block. See `open_store`."""

    location: str
    folder: Path
    _collections: Mapping[str, Any]
    _resources: ExitStack
    _log: InteractionLog | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder for other processes."""
        self._resources.close()

    # What was known at a moment.

    def history(self, user_id: str, *, before: float = np.inf) -> list[Interaction]:
        """The user's interactions earlier than `before`, from the first to the last; may be empty.

        Raises:
            DataError: the store has no such user.
        """
        occurrences = self._occurrences([user_id]).get(user_id)
        if occurrences is None:
            some = ", ".join(repr(u) for u in self.log.user_ids[:3]) or "none yet"
            raise DataError(
                f"no user {user_id!r} in store {self.location!r}; it holds {self.user_count()}: {some}, ..."
            )
        earlier = [occurrence for occurrence in occurrences if occurrence.time < before]
        items = self.items({occurrence.item_id for occurrence in earlier})
        return [Interaction.join(user_id, occurrence, items[occurrence.item_id]) for occurrence in earlier]

    def items(self, item_ids: Iterable[str]) -> dict[str, Item]:
        """The items of these ids; an id that the store does not hold is left out."""
        found = self._get("items", list(item_ids), include=["metadatas"])
        return {id_: Item.model_validate_json(metadata["item"]) for id_, metadata in found}

    def item_vectors(self, item_ids: Sequence[str]) -> dict[str, Vectors]:
        """The text vectors of these items, unit length, shape (384,) each; unknown ids are left out."""
        found = self._get("items", list(item_ids), include=["embeddings"])
        return {id_: np.asarray(vector, dtype=np.float32) for id_, vector in found}

    def topic_vectors(self) -> dict[str, Vectors]:
        """The vector of every topic's name."""
        return {
            id_: np.asarray(vector, dtype=np.float32)
            for page in self._pages("topics", include=["embeddings"])
            for id_, vector in page
        }

    def vectors_of_topics(self, topics: Sequence[str]) -> list[Vectors]:
        """The vectors of these topics' names, in order; a topic without one is left out."""
        return [
            np.asarray(vector, dtype=np.float32) for _, vector in self._get("topics", topics, include=["embeddings"])
        ]

    def nearest(self, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """For each row of `vectors` up to `n` items, the nearest first, with their cosine similarity.

        Knows no time: filter with `log.known(before=...)`.
        """
        n = min(n, self._collections["items"].count())
        if not n or not len(vectors):
            return [[] for _ in vectors]
        found = self._call(
            self._collections["items"].query, query_embeddings=vectors, n_results=n, include=["distances"]
        )
        return [
            [(id_, 1.0 - float(distance)) for id_, distance in zip(ids, distances, strict=True)]
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    @property
    def log(self) -> InteractionLog:
        """The whole log as arrays, read from beside the store or, where that is stale, from the store."""
        if self._log is None:
            self._log = self._load_log()
        return self._log

    def user_count(self) -> int:
        """How many users the log holds, in words for a message."""
        return len(self.log.user_ids)

    # Writing; only `ingest` does.

    def begin(self, source: str) -> None:
        """Mark the store as unfinished until `finish`: a reader is told to run the ingestion again."""
        self._mark(unfinished=source)

    def finish(self) -> None:
        """Rebuild what is derived, then mark the store as whole."""
        generation = int(self._metadata().get("generation", 0)) + 1
        self._log = self._build_log()
        self._log.save(self._log_path(generation))
        self._mark(generation=generation)
        for old in self.folder.glob("log-*.npz"):
            if old != self._log_path(generation):
                old.unlink(missing_ok=True)

    def put_items(self, items: Sequence[Item], vectors: Vectors) -> None:
        """Write items with their text vectors; an item of the same id is replaced."""
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            self._call(
                self._collections["items"].upsert,
                ids=[item.item_id for item in batch],
                embeddings=vectors[start : start + BATCH],
                metadatas=[{"item": item.model_dump_json(exclude_defaults=True)} for item in batch],
            )

    def put_topics(self, topics: Sequence[str], vectors: Vectors) -> None:
        """Write topics with the vectors of their names."""
        for start in range(0, len(topics), BATCH):
            self._call(
                self._collections["topics"].upsert,
                ids=list(topics[start : start + BATCH]),
                embeddings=vectors[start : start + BATCH],
            )

    def topic_names(self) -> set[str]:
        """All topics that have a vector."""
        return {id_ for page in self._pages("topics", include=[]) for id_, _ in page}

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
        records = self._records(changed)
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            self._call(
                self._collections["users"].upsert,
                ids=[id_ for id_, _, _ in batch],
                metadatas=[metadata for _, metadata, _ in batch],
                embeddings=np.stack([vector for _, _, vector in batch]),
            )
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

    # Chroma.

    def _occurrences(self, user_ids: Sequence[str]) -> dict[str, list[Occurrence]]:
        found = self._get("users", [_record_id(user_id, 0) for user_id in user_ids], include=["metadatas"])
        more = [
            _record_id(metadata["user_id"], number) for _, metadata in found for number in range(1, metadata["chunks"])
        ]
        return _histories([*found, *self._get("users", more, include=["metadatas"])])

    def _get(self, name: str, ids: Sequence[str], *, include: list[str]) -> list[tuple[str, Any]]:
        """Pairs of id and what was asked for, in the order of `ids`, each once; unknown ids are left out."""
        found: dict[str, Any] = {}
        ids = list(dict.fromkeys(ids))
        for start in range(0, len(ids), BATCH):
            page = self._call(self._collections[name].get, ids=list(ids[start : start + BATCH]), include=include)
            found.update(_pairs(page, include))
        return [(id_, found[id_]) for id_ in ids if id_ in found]

    def _pages(self, name: str, *, include: list[str]) -> Iterator[list[tuple[str, Any]]]:
        total = self._collections[name].count()
        for offset in range(0, total, BATCH):
            page = self._call(self._collections[name].get, limit=BATCH, offset=offset, include=include)
            yield _pairs(page, include)

    def _build_log(self) -> InteractionLog:
        items = (
            Item.model_validate_json(metadata["item"])
            for page in self._pages("items", include=["metadatas"])
            for _, metadata in page
        )
        events = (
            (occurrence.time, user_id, occurrence.item_id)
            for page in self._pages("users", include=["metadatas"])
            for user_id, history in _histories(page).items()
            for occurrence in history
        )
        return InteractionLog.build(items, events)

    def _load_log(self) -> InteractionLog:
        path = self._log_path(int(self._metadata().get("generation", 0)))
        try:
            return InteractionLog.load(path)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            log = self._build_log()
            log.save(path)
            return log

    def _log_path(self, generation: int) -> Path:
        return self.folder / f"log-{generation}.npz"

    def _metadata(self) -> dict[str, Any]:
        return dict(self._collections["items"].metadata or {})

    def _mark(self, *, generation: int | None = None, unfinished: str = "") -> None:
        metadata = self._metadata() | {"unfinished": unfinished}
        if generation is not None:
            metadata["generation"] = generation
        self._call(self._collections["items"].modify, metadata=metadata)

    def _call(self, function: Any, **arguments: Any) -> Any:
        try:
            return function(**arguments)
        except (ValueError, TypeError):
            raise
        except Exception as error:
            raise StoreError(f"store {self.location!r} failed: {_first_line(error)}") from error


def open_store(location: str | Path, *, create: bool = False, writing: bool = False) -> Store:
    """Open a store: a folder, or the address of a Chroma server (`http://host:port`, `.../NAME` for several).

    `create` makes it where there is none; `writing` also opens one whose ingestion did not finish.

    Raises:
        StoreError: absent, locked, unfinished, of another encoder or format, or out of reach.
    """
    location = str(location)
    with ExitStack() as resources:
        if location.startswith(("http://", "https://")):
            client, prefix, folder = _connect(location)
        else:
            folder, prefix = Path(location).expanduser(), ""
            if not create and not (folder / "chroma.sqlite3").is_file():
                raise StoreError(f"no store at {location!r}: make one with `whimbrel ingest SOURCE --store {location}`")
            _make(folder)
            resources.enter_context(exclusive(folder))
            client = _embedded(folder)
        collections = _open_collections(client, prefix, location, create=create)
        store = Store(location, folder, collections, resources.pop_all())
    try:
        _check(store, writing=writing)
    except StoreError:
        store.close()
        raise
    return store


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store {str(folder)!r} cannot be made: {error.strerror or error}") from error


def _embedded(folder: Path) -> Any:
    import chromadb

    try:
        return chromadb.PersistentClient(path=str(folder), settings=_settings())
    except Exception as error:
        raise StoreError(
            f"store {str(folder)!r} cannot be opened: {_first_line(error)}; if it is damaged, ingest into a new folder"
        ) from error


def _connect(location: str) -> tuple[Any, str, Path]:
    import chromadb

    address = urlsplit(location)
    name = address.path.strip("/") or "whimbrel"
    port = address.port or (443 if address.scheme == "https" else 8000)
    try:
        client = chromadb.HttpClient(
            host=address.hostname or "localhost", port=port, ssl=address.scheme == "https", settings=_settings()
        )
    except Exception as error:
        raise StoreError(
            f"no Chroma server answers at {location!r} ({_first_line(error)}): start one with `chroma run` or mend it"
        ) from error
    digest = blake2b(location.rstrip("/").encode(), digest_size=8).hexdigest()
    folder = cache_folder() / "servers" / digest
    _make(folder)
    return client, f"{name}-", folder


def _settings() -> Any:
    from chromadb.config import Settings

    logging.getLogger("chromadb").setLevel(logging.ERROR)
    return Settings(anonymized_telemetry=False)


def _open_collections(client: Any, prefix: str, location: str, *, create: bool) -> dict[str, Any]:
    metadata = {"format": FORMAT, "encoder": encoder.NAME, "dimension": encoder.DIMENSION, "generation": 0}
    try:
        existing = {collection.name for collection in client.list_collections()}
        collections = {}
        for name in _COLLECTIONS:
            full = prefix + name
            if full in existing:
                collections[name] = client.get_collection(full, embedding_function=None)
            elif create:
                collections[name] = client.create_collection(
                    full,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine"}},
                    metadata=metadata if name == "items" else {"format": FORMAT},
                )
            else:
                raise StoreError(f"no whole store at {location!r}: {full!r} is missing; ingest into it first")
        return collections
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"store {location!r} cannot be read: {_first_line(error)}") from error


def _check(store: Store, *, writing: bool) -> None:
    metadata = store._metadata()
    ours = {"format": FORMAT, "encoder": encoder.NAME, "dimension": encoder.DIMENSION}
    for key, expected in ours.items():
        if metadata.get(key) != expected:
            raise StoreError(
                f"store {store.location!r} was made with {key} {metadata.get(key)!r}, this version reads {expected!r}: "
                "ingest the log again into a new store"
            )
    if metadata.get("unfinished") and not writing:
        raise StoreError(
            f"store {store.location!r} is unfinished: run `whimbrel ingest {metadata['unfinished']} "
            f"--store {store.location}` again to complete it"
        )


def _pairs(page: Mapping[str, Any], include: list[str]) -> list[tuple[str, Any]]:
    values = page[include[0]] if include else [None] * len(page["ids"])
    return list(zip(page["ids"], values, strict=True))


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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
