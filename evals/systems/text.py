"""What titles say."""

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
    """Words that a candidate's title shares with the latest titles (see `TitleIndex`)."""
    latest: list[tuple[object, TitleIndex]] = []

    def score(case: BlindCase) -> NDArray[np.float64]:
        if not latest or latest[0][0] is not case.candidates:  # a whole catalogue comes again with the next case
            latest[:] = [(case.candidates, TitleIndex([item.title for item in case.candidates]))]
        return latest[0][1].shared([item.title for item in case.history[-TITLES:]])

    return score


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
