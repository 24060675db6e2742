"""Systems that compare texts."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.agent.ranking.features import TITLES
from whimbrel.evals.systems.protocol import Scorer, Settings
from whimbrel.tools.retrieval.interest import interest_of
from whimbrel.tools.text.item_vectors import item_vectors
from whimbrel.tools.text.title_index import TitleIndex


def bm25(training: Training, settings: Settings) -> Scorer:
    """Score by BM25 over the words that a candidate's title shares with the latest titles (see `TitleIndex`)."""

    @cache
    def catalogue_index() -> TitleIndex:
        return TitleIndex([item.title for item in training.catalogue])

    def score(case: BlindCase) -> NDArray[np.float64]:
        is_catalogue = training.is_catalogue(case.candidates)
        index = catalogue_index() if is_catalogue else TitleIndex([item.title for item in case.candidates])
        return index.shared([item.title for item in case.history[-TITLES:]])

    return score


def similarity(training: Training, settings: Settings) -> Scorer:
    """Score by the cosine of a candidate's text vector with the short-term plus the long-term interest."""

    def score(case: BlindCase) -> NDArray[np.float64]:
        if not case.history:
            return np.zeros(len(case.candidates))
        vectors = item_vectors(case.history)
        interest = interest_of(case.history, dict(zip((i.item_id for i in case.history), vectors, strict=True)))
        assert interest.short is not None  # noqa: S101  # the history has an item
        assert interest.long is not None  # noqa: S101
        return np.asarray(item_vectors(case.candidates) @ (interest.short + interest.long), dtype=np.float64)

    return score
