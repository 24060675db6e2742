"""A file of arrays about the items of a log: what `ItemEmbeddings`, `Ease` and `TaughtItems` are kept in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.arrays import opened_arrays
from whimbrel.tools.files.atomic import atomic_write


class ItemArrays(NamedTuple):
    """Arrays about items, and what they were learned from.

    Attributes:
        item_ids: Ids of the items.
        until: A time in Unix seconds. All events that the arrays were learned from are earlier.
        arrays: The arrays, keyed by name.
    """

    item_ids: list[str]
    until: float
    arrays: Mapping[str, NDArray[Any]]


def save_item_arrays(path: Path, item_ids: Sequence[str], until: float, **arrays: NDArray[Any]) -> None:
    """Write arrays to a file. The file is replaced as a whole or not at all."""
    names = np.frombuffer("\n".join(item_ids).encode(), dtype=np.uint8)
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, names=names, until=until, **arrays)


def load_item_arrays(path: Path, *expected: str) -> ItemArrays:
    """Read the expected arrays of a file that `save_item_arrays` wrote.

    Raises:
        OSError, ValueError: `save_item_arrays` did not write this file with these arrays, or it is damaged.
    """
    with opened_arrays(path) as arrays:
        item_ids, until = arrays["names"].tobytes().decode().split("\n"), float(arrays["until"])
        loaded = {name: arrays[name] for name in expected}
    if np.isnan(until):
        raise ValueError("no time until which events were read")
    return ItemArrays(item_ids, until, loaded)


def require_unit_vectors(vectors: NDArray[Any], shape: tuple[int, int]) -> None:
    """Check that vectors have a shape and are no longer than 1.

    Raises:
        ValueError: they do not, or are not.
    """
    if vectors.shape != shape or vectors.dtype != np.float32:
        raise ValueError(f"vectors of shape {vectors.shape} for {shape[0]} items")
    # A comparison with NaN is false, so NaN is rejected here too.
    if not (np.abs(vectors) <= 1.001).all():
        raise ValueError("vectors longer than 1")
