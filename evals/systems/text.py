"""What titles say."""

import numpy as np
from numpy.typing import NDArray

from whimbrel.evals.cases import BlindCase
from whimbrel.evals.systems import Scorer, Settings
from whimbrel.evals.training import Training
from whimbrel.tools.item_vectors import item_vectors
from whimbrel.tools.retrieve import interest_of

LATEST = 10
"""Titles of the history that the words are taken from."""


def bm25(training: Training, settings: Settings) -> Scorer:
    """Words that a candidate's title shares with the latest ten titles (Robertson et al., 1994; `bm25s`)."""
    import bm25s

    indexed: list[tuple[object, object]] = []

    def score(case: BlindCase) -> NDArray[np.float64]:
        if not indexed or indexed[0][0] is not case.candidates:
            index = bm25s.BM25()
            index.index(_words([item.title for item in case.candidates]), show_progress=False)
            indexed[:] = [(case.candidates, index)]
        query = [word for words in _words([item.title for item in case.history[-LATEST:]]) for word in words]
        known = [word for word in dict.fromkeys(query) if word in indexed[0][1].vocab_dict]  # type: ignore[attr-defined]
        if not known:
            return np.zeros(len(case.candidates))
        return np.asarray(indexed[0][1].get_scores(known), dtype=np.float64)  # type: ignore[attr-defined]

    return score


def _words(titles: list[str]) -> list[list[str]]:
    import re

    return [re.findall(r"\w+", title.casefold()) or ["-"] for title in titles]


def similarity(training: Training, settings: Settings) -> Scorer:
    """Cosine of a candidate's text vector with the short- and the long-term interest."""

    def score(case: BlindCase) -> NDArray[np.float64]:
        if not case.history:
            return np.zeros(len(case.candidates))
        vectors = item_vectors(case.history)
        interest = interest_of(case.history, dict(zip((i.item_id for i in case.history), vectors, strict=True)))
        assert interest.short is not None  # noqa: S101  # the history holds an item
        assert interest.long is not None  # noqa: S101
        return np.asarray(item_vectors(case.candidates) @ (interest.short + interest.long), dtype=np.float64)

    return score
