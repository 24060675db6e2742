"""A taught text encoder: a head on the vector of a text, and a vector of each of its word pieces.

Both are learned from a log (see `agent.learning.taught_encoder`). Encoding with them needs numpy alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.text.distilled import pieces_of
from whimbrel.tools.text.encoder import DIMENSION, Vectors

CHUNK_SIZE = 4096  # texts

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TaughtHead:
    """What turns a text and its vector into a taught vector.

    Attributes:
        axes: The head, a linear map, shape (DIMENSION, dimensions).
        pieces: The numbers of the known word pieces, ascending, shape (pieces,).
        rows: The vector of each known word piece, shape (pieces, dimensions).
    """

    axes: Vectors
    pieces: Ints
    rows: Vectors

    def encode(
        self, texts: Sequence[str], vectors: Vectors, *, advance: Callable[[int], None] | None = None
    ) -> Vectors:
        """Return the taught unit vector of each text, shape (texts, dimensions).

        Args:
            texts: The texts; there may be none.
            vectors: Their vectors by the encoder that the head was learned on, shape (texts, DIMENSION).
            advance: Called after each chunk with the number of texts that it encoded.
        """
        taught = np.empty((len(texts), self.axes.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), CHUNK_SIZE):
            chunk = slice(start, start + CHUNK_SIZE)
            sums = vectors[chunk] @ self.axes + self._of_pieces(texts[chunk])
            taught[chunk] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
            if advance:
                advance(len(sums))
        return taught

    def _of_pieces(self, texts: Sequence[str]) -> Vectors:
        """Return the sum of the vectors of each text's distinct pieces, divided by the root of their number."""
        distinct = distinct_pieces(texts)
        counts = np.array([len(pieces) for pieces in distinct])
        flat = np.concatenate(distinct)
        known = np.isin(flat, self.pieces)
        rows = np.zeros((len(flat), self.rows.shape[1]), dtype=np.float32)
        rows[known] = self.rows[np.searchsorted(self.pieces, flat[known])]
        sums = np.add.reduceat(rows, np.cumsum(counts) - counts, axis=0)
        return np.asarray(sums / np.sqrt(counts)[:, None], dtype=np.float32)

    def require_consistent(self) -> None:
        """Check the arrays.

        Raises:
            ValueError: shapes do not fit each other, or numbers are not finite.
        """
        dimensions = self.axes.shape[-1]
        if self.axes.shape != (DIMENSION, dimensions) or self.rows.shape != (len(self.pieces), dimensions):
            raise ValueError(f"a head of shapes {self.axes.shape}, {self.pieces.shape} and {self.rows.shape}")
        if not all(part.dtype == np.float32 and np.isfinite(part).all() for part in (self.axes, self.rows)):
            raise ValueError("a head that holds no finite numbers")
        if not (np.diff(self.pieces) > 0).all():
            raise ValueError("word pieces out of order")


def distinct_pieces(texts: Sequence[str]) -> list[Ints]:
    """Return the numbers of the distinct word pieces of each text. A text has at least one."""
    return [np.unique(pieces) for pieces in pieces_of(texts)]
