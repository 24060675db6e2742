"""Taught item vectors: the texts of items that people choose one after the other are near each other.

Every item has one, also an item without any event, since the vectors are computed from texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.log.interaction_log import InteractionLog, Ints
from whimbrel.tools.log.item_arrays import load_item_arrays, require_unit_vectors, save_item_arrays
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.taught_head import TaughtHead

PARTS = ("vectors", "encoder", "axes", "pieces", "rows")
"""The arrays of a file."""


@dataclass(frozen=True, eq=False)
class TaughtItems:
    """The taught vectors of the items of a log.

    Attributes:
        item_ids: Ids of the items.
        vectors: Unit vectors, shape (items, dimensions). The vector of an item that is not encoded yet is 0.
        until: A time in Unix seconds. All events that the vectors were learned from are earlier.
        head: What encodes the texts of further items.
        encoder: The name of the text encoder that the head was learned on.
    """

    item_ids: list[str]
    vectors: Vectors
    until: float
    head: TaughtHead
    encoder: str

    def save(self, path: Path) -> None:
        """Write the vectors and the head to a file. The file is replaced as a whole or not at all."""
        head, name = self.head, np.frombuffer(self.encoder.encode(), dtype=np.uint8)
        arrays: dict[str, NDArray[Any]] = {"axes": head.axes, "pieces": head.pieces, "rows": head.rows}
        save_item_arrays(path, self.item_ids, self.until, vectors=self.vectors, encoder=name, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile: `save` did not write this file, or it is
                damaged.
        """
        item_ids, until, arrays = load_item_arrays(path, *PARTS)
        vectors, head = arrays["vectors"], TaughtHead(arrays["axes"], arrays["pieces"], arrays["rows"])
        head.require_consistent()
        require_unit_vectors(vectors, (len(item_ids), head.axes.shape[1]))
        return cls(item_ids, vectors, until, head, arrays["encoder"].tobytes().decode())

    def for_log(self, log: InteractionLog) -> "TaughtItems":
        """Return the vectors in the order of a log that may have grown. Items that are new in it have vector 0."""
        if self.item_ids == log.item_ids:
            return self
        rows = log.rows(self.item_ids)
        vectors = np.zeros((len(log.item_ids), self.vectors.shape[1]), dtype=np.float32)
        vectors[rows[rows >= 0]] = self.vectors[rows >= 0]
        return replace(self, item_ids=log.item_ids, vectors=vectors)

    @property
    def not_encoded(self) -> list[int]:
        """The rows of the items that are not encoded yet."""
        return [int(row) for row in np.flatnonzero(~self.vectors.any(axis=1))]

    def with_texts(self, rows: Ints, texts: Sequence[str], vectors: Vectors) -> "TaughtItems":
        """Return a copy in which these items are encoded.

        Args:
            rows: Rows of the items.
            texts: Their texts.
            vectors: The vectors of the texts by `encoder`, shape (rows, DIMENSION).
        """
        taught = self.vectors.copy()
        taught[rows] = self.head.encode(texts, vectors)
        return replace(self, vectors=taught)
