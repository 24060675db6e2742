"""Text vectors of items. Recently used texts are not encoded again."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import DIMENSION, Vectors, encode, encoder_text

MOST_TEXTS = 100_000  # their vectors, of 384 floats of 4 bytes each, take 150 MB
CATALOGUE_SIZE = 1000
"""A sequence of at least this many items is treated as a whole catalogue. Its vectors are kept in one array."""


class _VectorCache:
    """Vectors keyed by text, and the vectors of the latest catalogue. The least recently used texts are dropped."""

    def __init__(self) -> None:
        self._by_text: OrderedDict[str, Vectors] = OrderedDict()
        self._catalogue: tuple[Item, ...] = ()
        self._catalogue_vectors = np.empty((0, DIMENSION), dtype=np.float32)
        self._lock = Lock()

    def vectors(self, items: Sequence[Item]) -> Vectors:
        with self._lock:
            if len(items) < CATALOGUE_SIZE:
                return self._stacked(items)
            # Evaluation passes the same catalogue with every case. Comparing tuples of the same items is cheap, since
            # Python compares elements by identity first. It also notices a list that was changed in place.
            catalogue = tuple(items)
            if catalogue != self._catalogue:
                vectors = self._stacked(catalogue)
                vectors.flags.writeable = False  # several callers share this array
                self._catalogue, self._catalogue_vectors = catalogue, vectors
            return self._catalogue_vectors

    def _stacked(self, items: Sequence[Item]) -> Vectors:
        texts = [encoder_text(item) for item in items]
        absent = list(dict.fromkeys(text for text in texts if text not in self._by_text))
        self._by_text.update(zip(absent, encode(absent), strict=True))
        for text in texts:
            self._by_text.move_to_end(text)
        vectors = np.stack([self._by_text[text] for text in texts])
        while len(self._by_text) > MOST_TEXTS:
            self._by_text.popitem(last=False)
        return vectors


_cache = _VectorCache()


def item_vectors(items: Sequence[Item]) -> Vectors:
    """Return the unit vector of each item's title, topics and text, shape (items, 384).

    For CATALOGUE_SIZE items or more the array is read-only, since later calls with equal items return the same array.
    """
    return _cache.vectors(items) if items else np.empty((0, DIMENSION), dtype=np.float32)


def title_vectors(items: Sequence[Item]) -> Vectors:
    """Return the unit vector of each item's title alone, shape (items, 384)."""
    return item_vectors([item.model_copy(update={"topics": (), "text": ""}) for item in items])
