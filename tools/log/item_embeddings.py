"""Items as vectors of a log: what is met within a few steps of the same things lies close together.

The positive pointwise mutual information of items that are met near each other, factorised (Levy & Goldberg, 2014):
what item2vec finds, in one step, the same each time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.interaction_log import InteractionLog

DIMENSIONS = 64
WINDOW = 5
"""Steps within which two items of a person count as met near each other."""
SMOOTHING = 0.75
"""Power of an item's frequency: dampens what is met with rare items by chance."""
LEAST_ITEMS = 4 * DIMENSIONS

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ItemEmbeddings:
    """`vectors` (items, DIMENSIONS) in the order of the log's items, unit length, 0 where an item was never met;
    learned from events that all lie before `until`."""

    item_ids: list[str]
    vectors: Embeddings
    until: float

    @classmethod
    def of(cls, log: InteractionLog, *, before: float = np.inf) -> Self | None:
        """Learned from the events before a moment; None where they are too few."""
        from scipy.sparse import csr_matrix
        from scipy.sparse.linalg import ArpackError, svds

        known = log.pair_time < before
        user, item, size = log.pair_user[known], log.pair_item[known], len(log.item_ids)
        if len(np.unique(item)) < LEAST_ITEMS:
            return None
        near = csr_matrix((size, size), dtype=np.float32)
        for step in range(1, WINDOW + 1):
            same = user[step:] == user[:-step]
            ones = np.ones(int(same.sum()), dtype=np.float32)
            near += csr_matrix((ones, (item[:-step][same], item[step:][same])), shape=(size, size))
        table = (near + near.T).tocoo()
        count = np.bincount(table.row, weights=table.data, minlength=size)
        smoothed = count**SMOOTHING
        expected = count[table.row] * smoothed[table.col] / max(float(smoothed.sum()), 1.0)
        information = np.log(table.data / np.maximum(expected, 1e-12)).astype(np.float32)
        told = information > 0
        if told.sum() < LEAST_ITEMS:
            return None
        table = csr_matrix((information[told], (table.row[told], table.col[told])), shape=(size, size))
        try:
            left, strength, _ = svds(table, k=DIMENSIONS, random_state=0)
        except ArpackError:
            return None
        vectors = (left * np.sqrt(strength)).astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        last = float(log.pair_time[known].max())
        return cls(log.item_ids, vectors, float(np.nextafter(last, np.inf)))

    def save(self, path: Path) -> None:
        """One file, replaced whole or not at all."""
        names = np.frombuffer("\n".join(self.item_ids).encode(), dtype=np.uint8)
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, allow_pickle=False, names=names, vectors=self.vectors, until=self.until)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises: OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile: not a whole file of this form."""
        with np.load(path, allow_pickle=False) as arrays:
            names = arrays["names"].tobytes().decode().split("\n")
            found = cls(names, arrays["vectors"], float(arrays["until"]))
        if found.vectors.shape != (len(names), DIMENSIONS) or found.vectors.dtype != np.float32:
            raise ValueError(f"vectors of shape {found.vectors.shape} for {len(names)} items")
        if not (np.abs(found.vectors) <= 1.001).all() or np.isnan(found.until):
            raise ValueError("vectors longer than 1")
        return found

    def of_log(self, log: InteractionLog) -> "ItemEmbeddings":
        """The same in the order of a log that may have grown since; of what came later nothing is known."""
        if self.item_ids == log.item_ids:
            return self
        rows = log.rows(self.item_ids)
        vectors = np.zeros((len(log.item_ids), DIMENSIONS), dtype=np.float32)
        vectors[rows[rows >= 0]] = self.vectors[rows >= 0]
        return ItemEmbeddings(log.item_ids, vectors, self.until)
