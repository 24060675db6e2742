"""EASE: what having one item says of another, after all other items are accounted for (Steck, 2019).

Each item is predicted from all others by a ridge regression with a closed solution. Up to DENSE_ITEMS items, one
inverted matrix holds all regressions. Above, each item is predicted from its NEIGHBOURS most similar items alone (as in
fsSLIM; Ning & Karypis, 2011), so memory grows with the number of items and not with its square.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.log.item_arrays import load_item_arrays, save_item_arrays

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DENSE_ITEMS = 20_000
"""Most items whose regressions are solved together. Of 20,000 items, the matrix takes 1.6 GB."""
NEIGHBOURS = 100
"""Above DENSE_ITEMS, an item is predicted from this many others."""
KEPT = 300
"""Weights kept of each item, those of the greatest size."""
LEAST_USERS = 2
"""An item with fewer users is neither predicted nor used to predict."""
PENALTIES = (20.0, 50.0, 200.0, 500.0)
"""Ridge penalties, of which held-out users choose one."""
CHOICE_ITEMS, CHOICE_USERS, CHOICE_SHARE = 4000, 2000, 0.1
"""The penalty is chosen on the CHOICE_ITEMS most popular items, by at most CHOICE_USERS users who are held out."""
HALF_LIFE = 5
"""The weight of an item of the history halves with every this many later items.

NDCG@10 with half-lives of 3, 5, 10 and none: MovieLens .101, .105, .105, .077; MovieTweetings .179, .178, .177, .173;
games .235, .232, .220, .204 (800, 826 and 1,500 training histories).
"""
PARTS = ("data", "indices", "indptr")
"""The arrays of a sparse matrix."""
BLOCK = 500
"""How many items are handled at once."""


@dataclass(frozen=True, eq=False)
class Ease:
    """The weights of items on each other.

    Attributes:
        item_ids: Ids of the items.
        weights: What having the item of a row adds to the score of the item of a column, shape (items, items).
        until: A time in Unix seconds. All events that the weights were learned from are earlier.
    """

    item_ids: list[str]
    weights: "csr_matrix"
    until: float

    @classmethod
    def of(cls, log: InteractionLog, *, before: float = np.inf, seed: int = 0) -> Self | None:
        """Learn the weights from the events earlier than `before`. Return None if no two items share a user."""
        from scipy.sparse import csr_matrix

        known = log.pair_time < before
        if not known.any():
            return None
        shape = (len(log.user_ids), len(log.item_ids))
        ones = np.ones(int(known.sum()), dtype=np.float32)
        users_items = csr_matrix((ones, (log.pair_user[known], log.pair_item[known])), shape=shape)
        weights = ease_weights(users_items, seed=seed)
        last = float(log.pair_time[known].max())
        return cls(log.item_ids, weights, float(np.nextafter(last, np.inf))) if weights.nnz else None

    def scores(self, rows: Ints) -> Floats:
        """Score all items for a history, shape (items,).

        Args:
            rows: Rows of the history's distinct items, the latest first.
        """
        if not len(rows):
            return np.zeros(len(self.item_ids))
        weights = (0.5 ** (np.arange(len(rows)) / HALF_LIFE)).astype(np.float32)
        return np.asarray(self.weights[rows].T @ weights, dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write the weights to a file. The file is replaced as a whole or not at all."""
        arrays = {name: getattr(self.weights, name) for name in PARTS}
        save_item_arrays(path, self.item_ids, self.until, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read weights that `save` wrote.

        Raises:
            OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile: `save` did not write this file, or it is
                damaged.
        """
        from scipy.sparse import csr_matrix

        item_ids, until, arrays = load_item_arrays(path, *PARTS)
        weights = csr_matrix(tuple(arrays[name] for name in PARTS), shape=(len(item_ids), len(item_ids)))
        weights.check_format(full_check=True)
        if weights.dtype != np.float32 or not np.isfinite(weights.data).all():
            raise ValueError("weights that are no finite numbers")
        return cls(item_ids, weights, until)

    def only(self, item_ids: Collection[str]) -> "Ease | None":
        """Return the weights of these items alone; None if there are none."""
        rows = [row for row, item_id in enumerate(self.item_ids) if item_id in item_ids]
        weights = self.weights[rows][:, rows]
        return Ease([self.item_ids[row] for row in rows], weights, self.until) if weights.nnz else None

    def for_log(self, log: InteractionLog) -> "Ease":
        """Return the weights in the order of a log that may have grown. Items that are new in it have no weights."""
        from scipy.sparse import csr_matrix

        if self.item_ids == log.item_ids:
            return self
        rows, pairs, size = log.rows(self.item_ids), self.weights.tocoo(), len(log.item_ids)
        row, column = rows[pairs.row], rows[pairs.col]
        kept = (row >= 0) & (column >= 0)
        weights = csr_matrix((pairs.data[kept], (row[kept], column[kept])), shape=(size, size))
        return Ease(log.item_ids, weights, self.until)


def ease_weights(users_items: "csr_matrix", *, penalty: float | None = None, seed: int = 0) -> "csr_matrix":
    """Return the weights of items on each other, shape (items, items). The diagonal is 0.

    Args:
        users_items: Who interacted with what, as ones, shape (users, items).
        penalty: The ridge penalty. By default, held-out users choose one of PENALTIES.
        seed: The seed of the draw of held-out users.
    """
    from scipy.sparse import coo_matrix, csr_matrix

    size = users_items.shape[1]
    users = np.asarray(users_items.sum(axis=0)).ravel()
    active = np.flatnonzero(users >= LEAST_USERS)
    if len(active) < 2:
        return csr_matrix((size, size), dtype=np.float32)
    used = users_items[:, active]
    chosen = chosen_penalty(used, seed=seed) if penalty is None else penalty
    weights = _all_together(used, chosen) if len(active) <= DENSE_ITEMS else _each_by_neighbours(used, chosen)
    pairs: Any = coo_matrix(weights)
    return csr_matrix((pairs.data, (active[pairs.row], active[pairs.col])), shape=(size, size), dtype=np.float32)


def chosen_penalty(users_items: "csr_matrix", *, seed: int = 0) -> float:
    """Return the penalty of PENALTIES that ranks the left-out items of held-out users best, by mean reciprocal rank."""
    popular = np.argsort(-np.asarray(users_items.sum(axis=0)).ravel(), kind="stable")[:CHOICE_ITEMS]
    used = users_items[:, np.sort(popular)].tocsr()
    eligible = np.flatnonzero(np.diff(used.indptr) >= 2)
    random = np.random.default_rng(seed)
    held = random.permutation(eligible)[: min(CHOICE_USERS, int(len(eligible) * CHOICE_SHARE))]
    if not len(held):
        return PENALTIES[-1]
    learned_from = used[np.setdiff1d(np.arange(used.shape[0]), held)]
    rows = used[held]
    target = np.array([random.choice(rows.indices[a:b]) for a, b in zip(rows.indptr, rows.indptr[1:], strict=False)])
    means = []
    for penalty in PENALTIES:
        dense = _dense_weights(learned_from, penalty)
        scores = np.asarray(rows @ dense) - dense[target]  # without what the left-out item itself adds
        of_target = scores[np.arange(len(held)), target]
        rank = (scores > of_target[:, None]).sum(axis=1) - (rows.multiply(scores > of_target[:, None])).sum(axis=1).A1
        means.append(float((1 / (1 + rank)).mean()))
    return PENALTIES[int(np.argmax(means))]


def _all_together(users_items: "csr_matrix", penalty: float) -> "csr_matrix":
    """Solve all regressions by one inverted matrix, and keep the greatest weights."""
    from scipy.sparse import vstack

    dense = _dense_weights(users_items, penalty)
    return vstack([_greatest(dense[start : start + BLOCK]) for start in range(0, len(dense), BLOCK)], format="csr")


def _dense_weights(users_items: "csr_matrix", penalty: float) -> NDArray[np.float32]:
    """Return the weights of all items on all items, shape (items, items)."""
    from scipy.linalg.lapack import spotrf, spotri

    size = users_items.shape[1]
    gram = np.empty((size, size), dtype=np.float32, order="F")
    for of_block, block in _gram_blocks(users_items):
        gram[:, of_block] = block.T
    diagonal = np.diag_indices(size)
    gram[diagonal] += penalty
    # In place, since a second matrix of this size may not fit into memory. Only the lower triangle is computed.
    factor, failure = spotrf(gram, lower=1, overwrite_a=1)
    inverse, failure = spotri(factor, lower=1, overwrite_c=1) if not failure else (factor, failure)
    if failure:
        raise np.linalg.LinAlgError(f"the matrix of {size} items has no inverse")
    for start in range(0, size, BLOCK):
        rows = slice(start, start + BLOCK)
        inverse[rows, start + BLOCK :] = inverse[start + BLOCK :, rows].T
        corner = inverse[rows, rows]
        inverse[rows, rows] = np.tril(corner) + np.tril(corner, -1).T
    own = -inverse[diagonal].copy()
    inverse /= own
    inverse[diagonal] = 0.0
    return np.asarray(inverse)


def _each_by_neighbours(users_items: "csr_matrix", penalty: float) -> "csr_matrix":
    """Solve the regression of each item on its most similar items."""
    from scipy.sparse import csc_matrix

    columns, size = users_items.tocsc(), users_items.shape[1]
    users = np.diff(columns.indptr).astype(np.float32)
    data, indices, counts = [], [], []
    for rows, gram in _gram_blocks(users_items):
        for row, shared in zip(rows, gram, strict=True):
            shared[row] = 0.0
            similar = np.flatnonzero(shared)
            if len(similar) > NEIGHBOURS:
                cosine = shared[similar] ** 2 / users[similar]
                similar = similar[np.argpartition(-cosine, NEIGHBOURS)[:NEIGHBOURS]]
            near = columns[:, similar]
            among = (near.T @ near).toarray()
            among[np.diag_indices(len(similar))] += penalty
            data.append(np.linalg.solve(among, shared[similar]).astype(np.float32))
            indices.append(similar)
            counts.append(len(similar))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    weights = csc_matrix((np.concatenate(data), np.concatenate(indices), offsets), shape=(size, size))
    return weights.tocsr()


def _gram_blocks(users_items: "csr_matrix") -> Iterator[tuple[range, NDArray[np.float32]]]:
    """Yield, for blocks of items, their rows and how many users each shares with every item, shape (block, items)."""
    transposed, size = users_items.T.tocsr(), users_items.shape[1]
    for start in range(0, size, BLOCK):
        rows = range(start, min(start + BLOCK, size))
        yield rows, (transposed[start : start + BLOCK] @ users_items).toarray()


def _greatest(block: NDArray[np.float32]) -> "csr_matrix":
    """Return the KEPT weights of the greatest size of each row, as a sparse matrix."""
    from scipy.sparse import csr_matrix

    if block.shape[1] > KEPT:
        size = np.abs(block)
        least = np.partition(size, -KEPT, axis=1)[:, -KEPT]
        block = np.where(size >= least[:, None], block, 0.0)
    return csr_matrix(block)
