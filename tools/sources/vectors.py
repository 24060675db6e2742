"""Read vectors of items from texts: a list of numbers each, such as an encoder wrote for an image or a sound."""

import math
from collections.abc import Container, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.sources.cells import is_absent
from whimbrel.tools.sources.rows import VECTOR, Batch

MOST_NUMBERS = 8192
"""Most numbers of a vector."""
LONGEST_SHOWN = 200  # characters of a rejected vector


class Reject(NamedTuple):
    """A rejected row, or a part of one: its file, its line number (0 if there is none), the reason, and its fields."""

    file: str
    line: int
    reason: str
    fields: Mapping[str, Any]


class ToldVector(NamedTuple):
    """A vector that a row tells of an item: its modality, its numbers at unit length, and a digest of its text."""

    item_id: str
    name: str
    vector: NDArray[np.float32]
    digest: str
    file: str
    line: int


class VectorReader:
    """Reads the vectors of batches. A vector that every event of an item repeats is read once."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, int]] = set()

    def read(
        self, batch: Batch, facts: Sequence[Any], rejected: Container[int]
    ) -> tuple[list[ToldVector], list[Reject]]:
        """Return the vectors of a batch, and those that cannot be read.

        Args:
            batch: The batch.
            facts: What each row tells of its item: a tuple that begins with the id.
            rejected: The rows that are not valid, whose vectors do not count.
        """
        told, bad = list[ToldVector](), list[Reject]()
        for column in [name for name in batch.columns if name.startswith(VECTOR)]:
            name = column.removeprefix(VECTOR)
            for row, text in enumerate(batch.columns[column]):
                if text is None or row in rejected or is_absent(text):
                    continue
                item_id, line = facts[row][0], batch.lines[row]
                key = item_id, name, hash(text)
                if key in self._seen:
                    continue
                self._seen.add(key)
                vector = unit_vector(text)
                if isinstance(vector, str):
                    shown = {"item_id": item_id, column: text[:LONGEST_SHOWN]}
                    bad.append(Reject(batch.file, line, f"{column}: {vector}", shown))
                else:
                    digest = blake2b(vector.tobytes(), digest_size=8).hexdigest()
                    told.append(ToldVector(item_id, name, vector, digest, batch.file, line))
        return told, bad


def unit_vector(text: str) -> NDArray[np.float32] | str:
    """Return the numbers of a text at unit length, or why it is no vector. Commas, spaces or `;` separate the numbers.

    Example:
        >>> unit_vector("[3, 4]").tolist(), unit_vector("3 4 x")
        ([0.6000000238418579, 0.800000011920929], 'not a list of numbers')
    """
    parts = text.strip().strip("[](){}").replace(",", " ").replace(";", " ").split()
    if len(parts) > MOST_NUMBERS:
        return f"more than {MOST_NUMBERS} numbers"
    try:
        numbers = np.array([float(part) for part in parts], dtype=np.float64)
    except ValueError:
        return "not a list of numbers"
    if not len(numbers) or not np.isfinite(numbers).all():
        return "not a list of numbers"
    largest = float(np.abs(numbers).max())
    if largest == 0:
        return "all numbers are 0"
    scaled = numbers / largest  # squares of large numbers would be infinite
    return np.asarray(scaled / math.sqrt(float((scaled**2).sum())), dtype=np.float32)
