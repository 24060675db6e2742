"""Chroma, embedded in a folder or on a server: what it gets wrong or leaves to its caller is put right here.

Order of ids, sizes of batches, one process at a time, and one kind of error.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from shlex import quote
from typing import Any, Literal
from urllib.parse import urlsplit

from whimbrel.tools.errors import StoreError
from whimbrel.tools.files.locks import exclusive
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.text.encoder import Vectors

COLLECTIONS = ("items", "users", "topics")
BATCH = 2000
"""Records of one write or one page: Chroma takes at most 5,461."""
SEVERAL = "; for several processes at once serve the store with `chroma run` and give its address"
TIMEOUT_SECONDS = 120.0
"""Longest wait for one answer of a server."""

Part = Literal["metadatas", "embeddings"]


@dataclass(frozen=True)
class Database:
    """Open collections by name; `folder` is where files that belong to them are kept."""

    location: str
    folder: Path
    collections: Mapping[str, Any]
    _resources: ExitStack
    _counts: dict[str, int] = field(default_factory=dict)

    def close(self) -> None:
        """Release the folder for other processes, or the connection."""
        self._resources.close()

    def count(self, name: str) -> int:
        """How many records a collection holds, as far as this process knows."""
        if name not in self._counts:
            with _told(self.location):
                self._counts[name] = int(self.collections[name].count())
        return self._counts[name]

    def get(self, name: str, ids: Sequence[str], part: Part) -> list[tuple[str, Any]]:
        """Pairs of id and what was asked for, in the order of `ids`, each once; unknown ids are left out."""
        found: dict[str, Any] = {}
        ids = list(dict.fromkeys(ids))
        with _told(self.location):
            for start in range(0, len(ids), BATCH):
                page = self.collections[name].get(ids=ids[start : start + BATCH], include=[part])
                found.update(zip(page["ids"], page[part], strict=True))
        return [(id_, found[id_]) for id_ in ids if id_ in found]

    def pages(self, name: str, part: Part) -> Iterator[list[tuple[str, Any]]]:
        """All records, in pages of such pairs."""
        for offset in range(0, self.count(name), BATCH):
            with _told(self.location):
                page = self.collections[name].get(limit=BATCH, offset=offset, include=[part])
            yield list(zip(page["ids"], page[part], strict=True))

    def nearest(self, name: str, vectors: Vectors, *, n: int) -> list[list[tuple[str, float]]]:
        """For each row of `vectors` up to `n` ids, the nearest first, with their cosine similarity."""
        n = min(n, self.count(name))
        if not n or not len(vectors):
            return [[] for _ in vectors]
        with _told(self.location):
            found = self.collections[name].query(query_embeddings=vectors, n_results=n, include=["distances"])
        return [
            [(id_, 1.0 - float(distance)) for id_, distance in zip(ids, distances, strict=True)]
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def upsert(
        self, name: str, ids: Sequence[str], vectors: Vectors, metadatas: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Write records; one of the same id is replaced."""
        self._counts.pop(name, None)
        with _told(self.location):
            for start in range(0, len(ids), BATCH):
                some = slice(start, start + BATCH)
                self.collections[name].upsert(
                    ids=list(ids[some]),
                    embeddings=vectors[some],
                    metadatas=list(metadatas[some]) if metadatas else None,
                )

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Remove records; an id that is not there is none."""
        self._counts.pop(name, None)
        with _told(self.location):
            for start in range(0, len(ids), BATCH):
                self.collections[name].delete(ids=list(ids[start : start + BATCH]))

    @property
    def facts(self) -> dict[str, Any]:
        """What is noted of the whole: what made it, and how far."""
        return dict(self.collections["items"].metadata or {})

    def note(self, **facts: object) -> None:
        """Add to `facts`."""
        with _told(self.location):
            self.collections["items"].modify(metadata=self.facts | facts)


def connect(location: str, *, create: bool, writing: bool, facts: Mapping[str, Any]) -> Database:
    """Open the collections at a folder or address (`http://host:port`, `.../NAME` for several stores on one server).

    With `create` absent ones are made and noted with `facts`. A folder is held by one process; of a server's store,
    which others may read, `writing` is held by one process of this machine.

    Raises:
        StoreError: absent, locked, damaged, or out of reach.
    """
    if not location.strip():
        raise StoreError("no folder is named for the store: give one, as --store shop")
    with ExitStack() as resources:
        if location.startswith(("http://", "https://")):
            address = urlsplit(location)
            prefix = f"{address.path.strip('/') or 'whimbrel'}-"
            folder = cache_folder() / "servers" / blake2b(location.rstrip("/").encode(), digest_size=8).hexdigest()
            _make(folder)
            if writing:
                resources.enter_context(exclusive(folder, "store", advice=SEVERAL))
            client = _client(location, address.hostname or "localhost", _port(location))
        else:
            folder, prefix = Path(location).expanduser(), ""
            if not create and not (folder / "chroma.sqlite3").is_file():
                raise StoreError(
                    f"no store at {location!r}: make one with `whimbrel ingest SOURCE --store {quote(location)}`"
                )
            resources.enter_context(exclusive(folder, "store", advice=SEVERAL))
            client = _embedded(folder)
        resources.callback(_close, client)
        collections = _collections(client, prefix, location, facts if create else None)
        return Database(location, folder, collections, resources.pop_all())


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


def _embedded(folder: Path) -> Any:
    import chromadb

    with _told(str(folder), "cannot be opened; if it is damaged, ingest into a new folder"):
        return chromadb.PersistentClient(path=str(folder), settings=_settings())


def _client(location: str, host: str, port: int) -> Any:
    import chromadb

    with _told(location, "does not answer as a Chroma server: start one with `chroma run`, or mend the address"):
        client = chromadb.HttpClient(host=host, port=port, ssl=location.startswith("https"), settings=_settings())
        client._server._session.timeout = TIMEOUT_SECONDS  # type: ignore[attr-defined]  # Chroma sets none
        return client


def _close(client: Any) -> None:
    """Chroma's own closing leaves the sockets of an HTTP client, and of the second one inside it, open."""
    servers = [part._server for part in (client, getattr(client, "_admin_client", None)) if part]
    client.close()
    for session in (getattr(server, "_session", None) for server in servers):
        if session is not None:
            session.close()


def _settings() -> Any:
    from chromadb.config import Settings

    logging.getLogger("chromadb").setLevel(logging.ERROR)
    return Settings(anonymized_telemetry=False)


def _collections(client: Any, prefix: str, location: str, facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """Collections by name; absent ones are made where there are `facts` to note."""
    collections = {}
    with _told(location):
        existing = {collection.name for collection in client.list_collections()}
        for name in COLLECTIONS:
            full = prefix + name
            if full in existing:
                collections[name] = client.get_collection(full, embedding_function=None)
            elif facts is not None:
                collections[name] = client.create_collection(
                    full,
                    embedding_function=None,
                    configuration={"hnsw": {"space": "cosine"}},
                    metadata=dict(facts),
                )
            else:
                raise StoreError(f"no whole store at {location!r}: {full!r} is missing; ingest into it first")
    return collections


@contextmanager
def _told(location: str, words: str = "failed") -> Iterator[None]:
    """Whatever Chroma raises, a panic of its Rust core (no `Exception`) too, becomes one line for a person."""
    try:
        yield
    except (StoreError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise StoreError(f"store {location!r} {words} ({first})") from error
