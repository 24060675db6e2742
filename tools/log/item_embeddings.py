"""Item embeddings: two items have similar vectors if the same items are near them in users' histories.

The embeddings factorise the positive pointwise mutual information of items that are near each other in histories (Levy
& Goldberg, 2014). item2vec approximates the same factorisation by sampling. The computation here needs no sampling, so
its result is always the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import InteractionLog, Ints
from whimbrel.tools.log.item_arrays import load_item_arrays, require_unit_vectors, save_item_arrays

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DIMENSIONS = 64
WINDOW = 5
"""Two items of a user's history are near each other if they are at most this many steps apart."""
SMOOTHING = 0.75
"""Exponent of an item's count in the expected count. A value below 1 lowers the information of rare items, which are
often near other items by chance (Levy et al., 2015)."""
LEAST_EMBEDDED_ITEMS = 4 * DIMENSIONS
"""Embeddings need at least this many items with events, and at least this many pairs with positive information."""

Embeddings = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ItemEmbeddings:
    """The embeddings of the items of a log.

    Attributes:
        item_ids: Ids of the items.
        vectors: Unit vectors, shape (items, DIMENSIONS). The vector of an item without events is 0.
        until: A time in Unix seconds. All events that the embeddings were learned from are earlier.
    """

    item_ids: list[str]
    vectors: Embeddings
    until: float

    @classmethod
    def of(cls, log: InteractionLog, *, before: float = np.inf) -> Self | None:
        """Learn embeddings from the events earlier than `before`. Return None if there are too few items or pairs."""
        from scipy.sparse.linalg import ArpackError, svds

        known = log.pair_time < before
        user, item, size = log.pair_user[known], log.pair_item[known], len(log.item_ids)
        if len(np.unique(item)) < LEAST_EMBEDDED_ITEMS:
            return None
        information = _positive_information(_near_counts(user, item, size))
        if information.nnz < LEAST_EMBEDDED_ITEMS:
            return None
        try:
            # The start vector is seeded, so the same log gives the same embeddings.
            left, strength, _ = svds(information, k=DIMENSIONS, random_state=0)
        except ArpackError:  # the iteration did not converge
            return None
        vectors = (left * np.sqrt(strength)).astype(np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        last = float(log.pair_time[known].max())
        return cls(log.item_ids, vectors, float(np.nextafter(last, np.inf)))

    def save(self, path: Path) -> None:
        """Write the embeddings to a file. The file is replaced as a whole or not at all."""
        save_item_arrays(path, self.item_ids, self.until, vectors=self.vectors)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read embeddings that `save` wrote.

        Raises:
            OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile: `save` did not write this file, or it is
                damaged.
        """
        item_ids, until, arrays = load_item_arrays(path, "vectors")
        vectors = arrays["vectors"]
        require_unit_vectors(vectors, (len(item_ids), DIMENSIONS))
        return cls(item_ids, vectors, until)

    def only(self, item_ids: Collection[str]) -> "ItemEmbeddings | None":
        """Return the embeddings of these items alone; None if there are none."""
        rows = [row for row, item_id in enumerate(self.item_ids) if item_id in item_ids]
        return ItemEmbeddings([self.item_ids[row] for row in rows], self.vectors[rows], self.until) if rows else None

    def for_log(self, log: InteractionLog) -> "ItemEmbeddings":
        """Return the embeddings in the order of a log that may have grown. Items that are new in it have vector 0."""
        if self.item_ids == log.item_ids:
            return self
        rows = log.rows(self.item_ids)
        vectors = np.zeros((len(log.item_ids), DIMENSIONS), dtype=np.float32)
        vectors[rows[rows >= 0]] = self.vectors[rows >= 0]
        return ItemEmbeddings(log.item_ids, vectors, self.until)


def _near_counts(user: Ints, item: Ints, size: int) -> "csr_matrix":
    """Count how often two items are at most WINDOW steps apart in a history, as a symmetric (items, items) matrix.

    Args:
        user: The user of each (user, item) pair. The pairs are grouped by user.
        item: The item of each pair. Within a user the pairs are ordered by time.
        size: The number of items.
    """
    from scipy.sparse import csr_matrix

    near = csr_matrix((size, size), dtype=np.float32)
    for step in range(1, WINDOW + 1):
        same_user = user[step:] == user[:-step]
        ones = np.ones(int(same_user.sum()), dtype=np.float32)
        near += csr_matrix((ones, (item[:-step][same_user], item[step:][same_user])), shape=(size, size))
    return near + near.T


def _positive_information(counts: "csr_matrix") -> "csr_matrix":
    """Compute the positive pointwise mutual information of items from the counts of their pairs."""
    from scipy.sparse import csr_matrix

    pairs, size = counts.tocoo(), counts.shape[0]
    count = np.bincount(pairs.row, weights=pairs.data, minlength=size)
    smoothed = count**SMOOTHING
    expected = count[pairs.row] * smoothed[pairs.col] / max(float(smoothed.sum()), 1.0)
    information = np.log(pairs.data / np.maximum(expected, 1e-12)).astype(np.float32)
    # A pair that never occurred has 0. Negative information would rank a rare pair below it, so it is dropped.
    positive = information > 0
    return csr_matrix((information[positive], (pairs.row[positive], pairs.col[positive])), shape=(size, size))
