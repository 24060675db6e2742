"""Text vectors of items, encoded once a process."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import DIMENSION, Vectors, encode, encoder_text

KEPT = 100_000
"""Vectors remembered: 150 MB; the longest unused fall out first."""

_known: OrderedDict[str, Vectors] = OrderedDict()
_last: list[tuple[Sequence[Item], Vectors]] = []


def title_vectors(items: Sequence[Item]) -> Vectors:
    """The same of the titles alone, without topics and text."""
    return item_vectors([item.model_copy(update={"topics": (), "text": ""}) for item in items])


def item_vectors(items: Sequence[Item]) -> Vectors:
    """One unit vector an item, shape (items, 384)."""
    if not items:
        return np.empty((0, DIMENSION), dtype=np.float32)
    if _last and _last[0][0] is items:
        return _last[0][1]
    texts = [encoder_text(item) for item in items]
    absent = list(dict.fromkeys(text for text in texts if text not in _known))
    for text, vector in zip(absent, encode(absent), strict=True):
        _known[text] = vector
    for text in texts:
        _known.move_to_end(text)
    vectors = np.stack([_known[text] for text in texts])
    while len(_known) > KEPT:
        _known.popitem(last=False)
    if len(items) >= 1000:  # a catalogue that comes again with every case
        _last[:] = [(items, vectors)]
    return vectors
