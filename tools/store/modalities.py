"""Vectors of items beside those of their texts: of an image, a sound, or whatever a source or an encoder gives.

Each kind, a modality, is a collection of its own, so an item may lack it. A store without such vectors has no such
collection. A record says what its vector was made of, so what did not change is not made again.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from whimbrel.tools.errors import StoreError
from whimbrel.tools.store.caches import ReadCache
from whimbrel.tools.store.chroma import VECTORS, Database
from whimbrel.tools.text.encoder import Vectors

FROM_SOURCE = "source"
"""The maker of vectors that a source gives. Others are named as their encoder."""


class Maker(NamedTuple):
    """Who made the vectors of a modality, and their length."""

    name: str
    length: int


class Modalities:
    """The modalities of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cached: dict[str, ReadCache[Vectors]] = {}
        self._means: dict[str, Vectors] = {}

    @property
    def names(self) -> list[str]:
        """The names of all modalities, in alphabetical order."""
        return sorted(name.removeprefix(VECTORS) for name in self._database.collections if name.startswith(VECTORS))

    def maker(self, name: str) -> Maker | None:
        """Return who made the vectors of a modality; None if there is no such modality."""
        collection = self._database.collections.get(VECTORS + name)
        if collection is None:
            return None
        told = collection.metadata or {}
        return Maker(str(told.get("made_by", FROM_SOURCE)), int(told["dimension"]))

    def require_same(self, name: str, maker: Maker) -> None:
        """Check that a modality, if it exists, has this maker. Vectors of two makers are never mixed.

        Raises:
            StoreError: it has another maker, or vectors of another length.
        """
        known = self.maker(name)
        if known is not None and known != maker:
            raise StoreError(
                f"store {self._database.location!r} has vectors of {name} by {known.name!r} with {known.length} "
                f"numbers, and these are by {maker.name!r} with {maker.length}: ingest into a new store"
            )

    def make(self, name: str, maker: Maker) -> None:
        """Make a modality, unless it exists."""
        if self.maker(name) is None:
            self._database.make_vectors(name, {"made_by": maker.name, "dimension": maker.length})

    def count(self, name: str) -> int:
        """Return how many items have a vector."""
        return self._database.count(VECTORS + name) if self.maker(name) else 0

    def origins(self, name: str, item_ids: Sequence[str]) -> dict[str, str]:
        """Return what the vector of each item was made of, keyed by id. An item without one is left out."""
        if self.maker(name) is None:
            return {}
        rows = self._database.get(VECTORS + name, item_ids, "metadatas")
        return {item_id: str(metadata.get("of", "")) for item_id, metadata in rows}

    def put(
        self,
        name: str,
        vectors: Mapping[str, Vectors],
        origins: Mapping[str, str],
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Write vectors, keyed by item, with what they were made of. An earlier vector of an item is replaced.

        Args:
            name: The modality.
            vectors: The vectors, keyed by item.
            origins: What each was made of, so that it is made again only if that changes.
            texts: The texts that were encoded; None if the vectors are not those of texts.
        """
        if vectors:
            stacked = np.stack(list(vectors.values())).astype(np.float32)
            told = [{"of": origins[id_]} | ({"text": texts[id_]} if texts else {}) for id_ in vectors]
            self._database.upsert(VECTORS + name, list(vectors), stacked, told)
            self._cached.pop(name, None)
            self._means.pop(name, None)

    def texts(self, name: str, item_ids: Sequence[str]) -> dict[str, str]:
        """Return the texts that the vectors of a modality are of, keyed by id. An item without one is left out."""
        if self.maker(name) is None:
            return {}
        rows = self._database.get(VECTORS + name, item_ids, "metadatas")
        return {item_id: str(metadata["text"]) for item_id, metadata in rows if metadata and "text" in metadata}

    def of(self, item_ids: Iterable[str]) -> dict[str, dict[str, Vectors]]:
        """Return the vectors of items, keyed by modality and then by id. What an item lacks is left out."""
        ids = list(item_ids)
        return {name: self._read(name, ids) for name in self.names}

    def nearest(self, name: str, vectors: Vectors, *, n: int) -> list[str]:
        """Return the ids of up to `n` items that are nearest to vectors of a modality on average, the nearest first.

        The order is by the mean cosine after the mean of all is taken off (see `centred`), of items that the index
        finds near to the mean of the vectors or in its direction from the mean of all.
        """
        if not self.count(name):
            return []
        if name not in self._means:
            page = next(self._database.pages(VECTORS + name, "embeddings"))
            self._means[name] = np.mean([vector for _, vector in page], axis=0, dtype=np.float32)
        towards = centred(vectors, self._means[name]).mean(axis=0)
        near = self._database.nearest(VECTORS + name, np.stack([vectors.mean(axis=0), towards]), n=n)
        known = self._read(name, list(dict.fromkeys(item_id for of in near for item_id, _ in of)))
        likeness = centred(np.stack(list(known.values())), self._means[name]) @ towards
        ids = list(known)
        return [ids[row] for row in np.argsort(-likeness, kind="stable")[:n]]

    def remove(self, item_ids: Sequence[str], name: str = "") -> None:
        """Remove the vectors of items, of one modality or of all."""
        for each in [name] if name else self.names:
            if item_ids:
                self._database.delete(VECTORS + each, item_ids)
                self._cached.pop(each, None)

    def forget(self) -> None:
        """Read everything anew when it is asked for next, also modalities that other processes made."""
        self._database.find_vectors()
        self._cached.clear()
        self._means.clear()

    def _read(self, name: str, item_ids: Sequence[str]) -> dict[str, Vectors]:
        def read(absent: list[str]) -> dict[str, Vectors]:
            rows = self._database.get(VECTORS + name, absent, "embeddings")
            return {item_id: np.asarray(vector, dtype=np.float32) for item_id, vector in rows}

        return self._cached.setdefault(name, ReadCache()).get(item_ids, read)


def centred(vectors: Vectors, mean: Vectors) -> Vectors:
    """Return vectors from the mean of all, at unit length: what all have in common tells nothing."""
    apart = vectors - mean
    return np.asarray(apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-12), dtype=np.float32)
