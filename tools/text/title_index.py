"""An index of the words that occur in titles."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# A word, or one character of a script without spaces (Japanese, Chinese). Combining marks and Indic vowel signs are
# parts of words.
_WORD = re.compile(r"[぀-ヿ一-鿿]|(?:[^\W぀-ヿ一-鿿]|[\u0300-\u036f\u0900-\u0dff])+")


class TitleIndex:
    """Scores titles by the words that they share with other titles: BM25 (Robertson et al., 1994; `bm25s`)."""

    def __init__(self, titles: Sequence[str]) -> None:
        import bm25s

        self._size = len(titles)
        self._index = bm25s.BM25()
        if titles:
            self._index.index([_words(title) for title in titles], show_progress=False)

    def shared(self, others: Sequence[str]) -> NDArray[np.float64]:
        """Return the BM25 score of each title for the words of `others`, shape (titles,).

        A rare word counts more. A word that occurs in several `others` counts once for each of them.
        """
        query = [word for title in others for word in dict.fromkeys(_words(title))] if self._size else []
        known = [word for word in query if word and word in self._index.vocab_dict]
        return np.asarray(self._index.get_scores(known) if known else np.zeros(self._size), dtype=np.float64)


def _words(title: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFC", title).casefold()) or [""]
