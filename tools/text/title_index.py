"""An index of the words of titles."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# A word, or one character of scripts without spaces (Japanese, Chinese). Combining marks and the vowel signs of Indic
# scripts are parts of words.
_WORD = re.compile(r"[぀-ヿ一-鿿]|(?:[^\W぀-ヿ一-鿿]|[\u0300-\u036f\u0900-\u0dff])+")


class TitleIndex:
    """Titles, to be scored by the words they share with other titles: BM25 (Robertson et al., 1994; `bm25s`)."""

    def __init__(self, titles: Sequence[str]) -> None:
        import bm25s

        self._size = len(titles)
        self._index = bm25s.BM25()
        if titles:
            self._index.index([_words(title) for title in titles], show_progress=False)

    def shared(self, others: Sequence[str]) -> NDArray[np.float64]:
        """Return the BM25 score of each title for the words of `others`, shape (titles,).

        A rare word counts more. A word of several `others`, such as the year of many films, counts once for each.
        """
        query = [word for title in others for word in dict.fromkeys(_words(title))] if self._size else []
        known = [word for word in query if word and word in self._index.vocab_dict]
        return np.asarray(self._index.get_scores(known) if known else np.zeros(self._size), dtype=np.float64)


def _words(title: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", title).casefold()) or [""]
