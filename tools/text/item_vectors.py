"""Text vectors of items. Recently used texts are not encoded again."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import DIMENSION, TextEncoder, Vectors, encoder_text
from whimbrel.tools.text.encoders import encoder_for

MOST_TEXTS = 100_000  # their vectors, of 384 floats of 4 bytes each, take 150 MB
CATALOGUE_SIZE = 1000
"""A sequence of at least this many items is treated as a whole catalogue. Its vectors are kept in one array."""


class _VectorCache:
    """An encoder's vectors keyed by text, and those of the latest catalogue. The least recently used are dropped."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
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
        self._by_text.update(zip(absent, self._encoder.encode(absent), strict=True))
        for text in texts:
            self._by_text.move_to_end(text)
        vectors = np.stack([self._by_text[text] for text in texts])
        while len(self._by_text) > MOST_TEXTS:
            self._by_text.popitem(last=False)
        return vectors


_caches: dict[str, _VectorCache] = {}


def item_vectors(items: Sequence[Item], encoder: TextEncoder | None = None) -> Vectors:
    """Return the unit vector of each item's title, topics and text, shape (items, 384).

    By default, the encoder is the one that reads the language of the items (see `encoder_for`).

    For CATALOGUE_SIZE items or more the array is read-only, since later calls with equal items return the same array.
    """
    if not items:
        return np.empty((0, DIMENSION), dtype=np.float32)
    encoder = encoder or encoder_for(items)
    return _caches.setdefault(encoder.name, _VectorCache(encoder)).vectors(items)


def title_vectors(items: Sequence[Item], encoder: TextEncoder | None = None) -> Vectors:
    """Return the unit vector of each item's title alone, shape (items, 384)."""
    return item_vectors([item.model_copy(update={"topics": (), "text": ""}) for item in items], encoder)
