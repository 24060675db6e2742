"""What text encoders have in common."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.records import Item

Vectors = NDArray[np.float32]

DIMENSION = 384
"""The dimension of the vectors of all encoders."""


class TextEncoder(Protocol):
    """Turns texts into unit vectors. Vectors of two encoders must never be compared.

    Attributes:
        name: The name of the model, which a store notes.
        title: What users call it.
    """

    name: str
    title: str

    def encode(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        """Return the unit vector of each text, shape (texts, DIMENSION). Equal texts are encoded only once.

        Args:
            texts: The texts; there may be none.
            advance: Called after each batch with the number of texts that it encoded. Equal texts are all counted.

        Raises:
            ConfigError: the encoder is not installed.
        """


def encoder_text(item: Item) -> str:
    """Return the text that is encoded for an item: title, topics, description. Encoders cut it."""
    return ". ".join(part for part in (item.title, ", ".join(item.topics), item.text) if part)


def encode_distinct(
    texts: Sequence[str],
    encode: Callable[[list[str], Callable[[Sequence[int], Vectors], None]], None],
    advance: Callable[[int], None] | None,
) -> Vectors:
    """Encode each distinct text once, and return the vector of each text.

    Args:
        texts: The texts.
        encode: Encodes distinct texts in batches. It hands over the rows and the vectors of each batch.
        advance: See `TextEncoder.encode`.
    """
    distinct = list(dict.fromkeys(texts))
    rows = {text: row for row, text in enumerate(distinct)}
    order = np.array([rows[text] for text in texts], dtype=np.int64)
    copies = np.bincount(order, minlength=len(distinct))
    vectors = np.empty((len(distinct), DIMENSION), dtype=np.float32)

    def keep(batch: Sequence[int], part: Vectors) -> None:
        vectors[batch] = part
        if advance:
            advance(int(copies[batch].sum()))

    if distinct:
        encode(distinct, keep)
    return np.asarray(vectors[order])
