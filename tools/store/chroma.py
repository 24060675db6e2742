"""Chroma, embedded in a folder or on a server, behind a safe interface for the store.

Chroma itself returns records in no fixed order, limits the size of a write, and lets two processes destroy one folder.
It also raises errors of many kinds. Some are panics of its Rust core, which are not an `Exception`. This module hides
all of that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from shlex import quote
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np

from whimbrel.tools.errors import StoreError
from whimbrel.tools.files.locks import exclusive
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.store.clients import (
    DATABASE_FILE,
    READING_SECONDS,
    WRITING_SECONDS,
    close,
    open_folder,
    open_server,
    store_errors,
)
from whimbrel.tools.store.purge import MARK, purge
from whimbrel.tools.store.read_only import copied, why_read_only
from whimbrel.tools.store.seals import Seals
from whimbrel.tools.text.encoder import Vectors

COLLECTIONS = ("items", "users", "topics")
RECORDS = ("events", "notes")
"""Collections whose records are found by id, not by vector. Stores of earlier formats lack them."""
BATCH_SIZE = 2000  # records of one write or page; Chroma takes at most 5,461
VECTORS = "vector."
"""What the names of collections of further vectors of items begin with. A store may have none (see `modalities`)."""
EF_CONSTRUCTION = {"items": 100, "users": 40, "topics": 100, VECTORS: 100}
"""How many neighbours the index looks at when it adds a vector.

There are more users than items, and an ingestion spends most of its time on their index. Of 10,000 users, 40 took 1.1 s
and found .992 of the 50 nearest; 100 took 1.65 s and found .997. Of
4,000 vectors of 512 numbers and the 100 nearest, 100 found .96 in 1.7 s, and 16 found .75 in 0.7 s.
"""
SHARING_ADVICE = "; for several processes at once serve the store with `chroma run` and give its address"

Part = Literal["metadatas", "embeddings"]


@dataclass(frozen=True)
class Database:
    """The open collections of a store.

    Attributes:
        location: The folder or address that the store was opened with.
        folder: The folder of other files that belong to the store.
        is_shared: Whether other processes may have the store open too.
        collections: The collections, keyed by name.
        read_only: Why nothing can be written, in words; "" if it can.
    """

    location: str
    folder: Path
    is_shared: bool
    collections: dict[str, Any]
    read_only: str
    _client: Any
    _prefix: str
    _resources: ExitStack
    # Every search needs a count, and counting takes a query. The count is kept until this process writes.
    _counts: dict[str, int] = field(default_factory=dict)

    def require_writable(self) -> None:
        """Raise a `StoreError` if the store is read from a copy, since what is written to that is lost."""
        if self.read_only:
            raise StoreError(f"nothing can be written to store {self.location!r}: {self.read_only}")

    def close(self) -> None:
        """Close the store: unlock its folder, or close the connection to its server."""
        self._resources.close()

    def count(self, name: str) -> int:
        """Return the number of records in a collection. Later writes of other processes are not noticed."""
        if name not in self._counts:
            with store_errors(self.location):
                self._counts[name] = int(self.collections[name].count())
        return self._counts[name]

    def find_vectors(self) -> None:
        """Find the collections of further vectors, which other processes may have made or removed."""
        with store_errors(self.location):
            found = _vectors(self._client, self._prefix, _names(self._client))
        for name in [name for name in self.collections if name.startswith(VECTORS) and name not in found]:
            del self.collections[name]
        for name, collection in found.items():
            self.collections.setdefault(name, collection)
            self.recount(name)

    def make_vectors(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Make a collection of further vectors of items."""
        with store_errors(self.location):
            self.collections[VECTORS + name] = self._client.create_collection(
                f"{self._prefix}{VECTORS}{name}",
                embedding_function=None,
                configuration={"hnsw": {"space": "cosine", "ef_construction": EF_CONSTRUCTION[VECTORS]}},
                metadata=dict(metadata),
            )

    def note_maker(self, name: str, made_by: str) -> None:
        """Note who made the vectors of a collection of further vectors."""
        with store_errors(self.location):
            self.collections[name].modify(metadata={**self.collections[name].metadata, "made_by": made_by})

    def drop(self, name: str) -> None:
        """Remove a collection with all its records."""
        with store_errors(self.location):
            self._client.delete_collection(self._prefix + name)
        self.collections.pop(name, None)
        self.recount(name)

    def recount(self, name: str) -> None:
        """Count a collection anew when it is asked for, since other processes may have written to it."""
        self._counts.pop(name, None)

    def get(self, name: str, ids: Sequence[str], *parts: Part) -> list[tuple[Any, ...]]:
        """Return an id and the parts of its record, in the order of `ids`, each id once. An unknown id is left out."""
        distinct = list(dict.fromkeys(ids))
        records: dict[str, tuple[Any, ...]] = {}
        with store_errors(self.location):
            for start in range(0, len(distinct), BATCH_SIZE):
                page = self.collections[name].get(ids=distinct[start : start + BATCH_SIZE], include=list(parts))
                records |= {row[0]: row for row in zip(page["ids"], *(page[part] for part in parts), strict=True)}
        return [records[id_] for id_ in distinct if id_ in records]

    def pages(self, name: str, part: Part) -> Iterator[list[tuple[str, Any]]]:
        """Yield all records of a collection page by page, as (id, part) pairs."""
        for offset in range(0, self.count(name), BATCH_SIZE):
            with store_errors(self.location):
                page = self.collections[name].get(limit=BATCH_SIZE, offset=offset, include=[part])
            yield list(zip(page["ids"], page[part], strict=True))

    def nearest(self, name: str, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """Return, for each row of `vectors`, up to `n` ids with their cosine similarities, the nearest first."""
        n = min(n, self.count(name))
        if not n or not len(vectors):
            return [[] for _ in vectors]
        with store_errors(self.location):
            neighbours = self.collections[name].query(query_embeddings=vectors, n_results=n, include=["distances"])
        return [
            [(id_, 1.0 - float(distance)) for id_, distance in zip(ids, distances, strict=True)]
            for ids, distances in zip(neighbours["ids"], neighbours["distances"], strict=True)
        ]

    def upsert(
        self, name: str, ids: Sequence[str], vectors: Vectors, metadatas: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Write records, with one row of `vectors` per record. A record with the same id is replaced."""
        self._counts.pop(name, None)
        with store_errors(self.location):
            for start in range(0, len(ids), BATCH_SIZE):
                batch = slice(start, start + BATCH_SIZE)
                self.collections[name].upsert(
                    ids=list(ids[batch]),
                    embeddings=vectors[batch],
                    metadatas=list(metadatas[batch]) if metadatas else None,
                )

    def update(self, name: str, metadatas: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the metadata of records, keyed by id. Their vectors stay. An unknown id is ignored."""
        ids, values = list(metadatas), list(metadatas.values())
        with store_errors(self.location):
            for start in range(0, len(ids), BATCH_SIZE):
                batch = slice(start, start + BATCH_SIZE)
                self.collections[name].update(ids=ids[batch], metadatas=values[batch])

    def put(self, name: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Write records without vectors, keyed by id. A record with the same id is replaced."""
        self.upsert(name, list(records), _no_vectors(len(records)), list(records.values()))

    def put_new(self, name: str, id_: str, metadata: Mapping[str, Any]) -> None:
        """Write a record without a vector, unless its id exists.

        Of several processes that write the same id at once, one succeeds. The others then read its record.
        """
        with store_errors(self.location):
            self.collections[name].add(ids=[id_], embeddings=_no_vectors(1), metadatas=[dict(metadata)])

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Remove records. An unknown id is ignored."""
        self._clear_vectors(name, ids)
        self._counts.pop(name, None)
        with store_errors(self.location):
            for start in range(0, len(ids), BATCH_SIZE):
                self.collections[name].delete(ids=list(ids[start : start + BATCH_SIZE]))

    def _clear_vectors(self, name: str, ids: Sequence[str]) -> None:
        """Overwrite the vectors of records, since an index keeps those of deleted records."""
        if name in RECORDS or not (stored := self.get(name, ids, "embeddings")):
            return
        self.upsert(name, [id_ for id_, _ in stored], np.ones((len(stored), len(stored[0][1])), dtype=np.float32))

    def purge_at_close(self) -> None:
        """Purge the files of a folder of deleted records when the store is closed. Those of a server are out of reach.

        If this process is stopped before, the next one that opens the store does it.
        """
        if not self.is_shared:
            (self.folder / MARK).touch()

    @property
    def metadata(self) -> dict[str, Any]:
        """What the store was made with: its format and its encoder. Stores of earlier formats have their notes here."""
        # Chroma keeps metadata per collection. The metadata of `items` serves as the metadata of the store.
        return dict(self.collections["items"].metadata or {})

    def replace_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Replace `metadata`. Two processes that do this at once may lose a change, so notes are not kept here."""
        with store_errors(self.location):
            self.collections["items"].modify(metadata=dict(metadata))

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Raise a `StoreError` about a damaged record if the block fails to decode a record.

        Raises:
            StoreError: the block raised `ValueError`, `KeyError` or `TypeError`.
        """
        try:
            yield
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"store {self.location!r} holds a damaged record ({type(error).__name__}): ingest into a new one"
            ) from error


def connect(
    location: str, *, create: bool, writing: bool, metadata: Mapping[str, Any], damaged: bool = False
) -> Database:
    """Open the collections of a store. A folder that cannot be written is read from a temporary copy.

    Args:
        location: A folder or an address. The address is `http://host:port`, or `http://host:port/NAME` for one of
            several stores on a server.
        create: Whether missing collections are made.
        writing: Whether a store on a server is locked against other writers on this machine. A folder is always locked.
        metadata: The metadata for a new store.
        damaged: Whether a folder is opened although its files are not what was written.

    Raises:
        StoreError: the store is absent, locked, damaged or unreachable.
    """
    if not location.strip():
        raise StoreError("no folder is named for the store: give one, as --store shop")
    with ExitStack() as resources:
        is_shared, read_only = location.startswith(("http://", "https://")), ""
        if is_shared:
            address = urlsplit(location)
            prefix = f"{address.path.strip('/') or 'whimbrel'}-"
            # A server cannot keep other files of the store. They are in this machine's cache folder, keyed by address.
            folder = cache_folder() / "servers" / blake2b(location.rstrip("/").encode(), digest_size=8).hexdigest()
            _make(folder)
            if writing:
                resources.enter_context(exclusive(folder, "store", advice=SHARING_ADVICE))
            seconds = WRITING_SECONDS if writing else READING_SECONDS
            client = open_server(location, address.hostname or "localhost", _port(location), seconds)
        else:
            folder, prefix = Path(location).expanduser(), ""
            if not create and not (folder / DATABASE_FILE).is_file():
                raise StoreError(
                    f"no store at {location!r}: make one with `whimbrel ingest SOURCE --store {quote(location)}`"
                )
            read_only = why_read_only(folder)
            if read_only and not create and not writing:
                folder = resources.enter_context(copied(folder))
            resources.enter_context(exclusive(folder, "store", advice=SHARING_ADVICE))
            seals = Seals(folder)
            if not damaged and (broken := seals.broken()):
                raise StoreError(
                    f"store {location!r} is damaged: {broken[0]} is not what was written. Run `whimbrel check --store "
                    f"{quote(location)} --repair`"
                )
            client = open_folder(folder)
            seals.remove()
            resources.callback(seals.renew)
            if not damaged:
                resources.callback(purge, folder, is_waiting=(folder / MARK).is_file())
        resources.callback(close, client)
        collections = _collections(client, prefix, location, metadata if create else None)
        return Database(location, folder, is_shared, collections, read_only, client, prefix, resources.pop_all())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store {str(folder)!r} cannot be made: {error.strerror or error}") from error


def _port(location: str) -> int:
    address = urlsplit(location)
    try:
        return address.port or (443 if address.scheme == "https" else 8000)
    except ValueError as error:
        raise StoreError(f"{location!r} is no address of a server: {error}") from None


def purge_server(folder: Path) -> int:
    """Purge the files of a Chroma server that does not run (see `purge`).

    Args:
        folder: The folder that the server keeps its data in.

    Returns:
        The number of stores on the server.

    Raises:
        StoreError: there is no such folder, it is the folder of a store without a server, it is in use, or its disk has
            too little room.
    """
    if not (folder / DATABASE_FILE).is_file():
        raise StoreError(f"{str(folder)!r} is no folder of a Chroma server: name the one that `chroma run --path` had")
    with exclusive(folder, "folder"), store_errors(str(folder)):
        client = open_folder(folder)
        names = _names(client)
        close(client)
        if COLLECTIONS[0] in names:
            raise StoreError(f"{str(folder)!r} is a store of its own, which is purged after each `whimbrel forget`")
        stores = [name.removesuffix(f"-{COLLECTIONS[0]}") for name in names if name.endswith(f"-{COLLECTIONS[0]}")]
        # Other programs may have collections on the server. They are not touched.
        ours = {f"{store}-{name}" for store in stores for name in (*COLLECTIONS, *RECORDS)}
        ours |= {name for name in names for store in stores if name.startswith(f"{store}-{VECTORS}")}
        (folder / MARK).touch()
        purge(folder, sorted(ours & names), is_waiting=False)
        return len(stores)


def _no_vectors(count: int) -> Vectors:
    """Return the shortest vectors that Chroma accepts for records that are never searched by vector."""
    return np.ones((count, 1), dtype=np.float32)


def _collections(client: Any, prefix: str, location: str, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the collections, keyed by name. Missing collections are made if `metadata` is given."""
    collections = {}
    with store_errors(location):
        existing = _names(client)
        for name in COLLECTIONS:
            full = prefix + name
            if full in existing:
                collections[name] = client.get_collection(full, embedding_function=None)
            elif metadata is not None:
                collections[name] = client.create_collection(
                    full,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine", "ef_construction": EF_CONSTRUCTION[name]}},
                    metadata=dict(metadata),
                )
            else:
                raise StoreError(f"no whole store at {location!r}: {full!r} is missing; ingest into it first")
        for name in RECORDS:
            collections[name] = client.get_or_create_collection(prefix + name, embedding_function=None)
        return collections | _vectors(client, prefix, existing)


def _names(client: Any) -> set[str]:
    return {collection.name for collection in client.list_collections()}


def _vectors(client: Any, prefix: str, existing: Collection[str]) -> dict[str, Any]:
    """Return the collections of further vectors of items, keyed by name."""
    names = [full.removeprefix(prefix) for full in sorted(existing) if full.startswith(prefix + VECTORS)]
    return {name: client.get_collection(prefix + name, embedding_function=None) for name in names}
