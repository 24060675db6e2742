"""Text vectors of items; a text is encoded once a process."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import DIMENSION, Vectors, encode, encoder_text

MOST_TEXTS = 100_000  # at 384 floats of 4 bytes each they take 150 MB
CATALOGUE_SIZE = 1000
"""Items from which on a sequence is taken for a whole catalogue, whose vectors are kept in one array."""


class _VectorCache:
    """Vectors by text, the least recently used of which are dropped, and those of the latest catalogue."""

    def __init__(self) -> None:
        self._by_text: OrderedDict[str, Vectors] = OrderedDict()
        self._catalogue: tuple[Item, ...] = ()
        self._catalogue_vectors = np.empty((0, DIMENSION), dtype=np.float32)
        self._lock = Lock()

    def vectors(self, items: Sequence[Item]) -> Vectors:
        with self._lock:
            if len(items) < CATALOGUE_SIZE:
                return self._stacked(items)
            # Evaluation hands over the same catalogue with every case. Comparing tuples is cheap for the same items
            # (Python compares the elements by identity first) and right for a list that was changed in place.
            catalogue = tuple(items)
            if catalogue != self._catalogue:
                vectors = self._stacked(catalogue)
                vectors.flags.writeable = False  # several callers share it
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

    The array of a long sequence is read-only, since it is shared with later calls for equal items.
    """
    return _cache.vectors(items) if items else np.empty((0, DIMENSION), dtype=np.float32)


def title_vectors(items: Sequence[Item]) -> Vectors:
    """Return the unit vector of each item's title alone, shape (items, 384)."""
    return item_vectors([item.model_copy(update={"topics": (), "text": ""}) for item in items])
