"""Words that titles share."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[぀-ヿ一-鿿]|(?:[^\W぀-ヿ一-鿿]|[\u0300-\u036f\u0900-\u0dff])+")
"""A word, or a letter of those that are written without spaces."""


class TitleIndex:
    """Titles that can be asked which of them hold given words: BM25 (Robertson et al., 1994; `bm25s`)."""

    def __init__(self, titles: Sequence[str]) -> None:
        import bm25s

        self._size = len(titles)
        self._index = bm25s.BM25()
        if titles:
            self._index.index([_words(title) for title in titles], show_progress=False)

    def shared(self, others: Sequence[str]) -> NDArray[np.float64]:
        """How much of the words of `others` a title holds, rarer ones counting more, and those of several of them (the
        year of many films) as often, shape (titles,)."""
        wanted = [word for title in others for word in dict.fromkeys(_words(title))] if self._size else []
        known = [word for word in wanted if word and word in self._index.vocab_dict]
        return np.asarray(self._index.get_scores(known) if known else np.zeros(self._size), dtype=np.float64)


def _words(title: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", title).casefold()) or [""]
