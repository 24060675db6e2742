"""Choose the list that is shown: the best candidates, without near duplicates and, on request, diverse."""

from dataclasses import replace

import numpy as np

from whimbrel.agent.ranking.rank import Floats, Ranking
from whimbrel.tools.text.encoder import Vectors

NEAR_DUPLICATE = 0.93
"""Cosine at or above which two items count as one product in different sizes or editions."""
CONSIDERED = 100
"""A diverse list is chosen from this many of the best candidates, or from twice its length if that is more."""


def with_list(ranking: Ranking, k: int, *, diversity: float = 0.0, near_duplicates: bool = False) -> Ranking:
    """Move the `k` candidates that are shown to the front of a ranking. The rest keep their order.

    Args:
        ranking: Candidates by score.
        k: The length of the list. The list is shorter if there are too few candidates.
        diversity: How much a candidate loses for being similar to an item already in the list, in [0, 1].
        near_duplicates: Whether the list may hold near duplicates.
    """
    order = np.array(ranking.order, dtype=np.int64)
    chosen = diverse(
        ranking.candidates.vectors[order],
        ranking.scores[order],
        k=k,
        diversity=diversity,
        near_duplicates=near_duplicates,
    )
    rest = np.delete(order, chosen)
    return replace(ranking, order=[*order[chosen].tolist(), *rest.tolist()], listed=len(chosen))


def diverse(
    vectors: Vectors, scores: Floats, *, k: int, diversity: float = 0.0, near_duplicates: bool = False
) -> list[int]:
    """Choose the rows of up to `k` candidates, in the order of choice.

    Scores are scaled to [0, 1]. Each step chooses the candidate with the greatest value of (1 - diversity) * score -
    diversity * cosine. The cosine compares it with the nearest candidate already chosen. This is maximal marginal
    relevance (Carbonell & Goldstein, 1998).

    Args:
        vectors: Unit text vectors of candidates by score, the best first, shape (candidates, dimensions).
        scores: Their scores.
        k: How many to choose.
        diversity: In [0, 1]; 0 keeps the order by score.
        near_duplicates: Whether a near duplicate of a candidate already chosen may be chosen too.
    """
    considered = max(CONSIDERED, 2 * k) if diversity else len(scores)
    vectors, scores = vectors[:considered], scores[:considered]
    if not len(scores):
        return []
    # 1e-9 avoids a division by zero if all scores are equal.
    scaled = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-9)
    limit = np.inf if near_duplicates else NEAR_DUPLICATE
    # -1 is the lowest cosine: before the first choice, no candidate is near a chosen one.
    nearest, free, chosen = np.full(len(scores), -1.0), np.ones(len(scores), dtype=bool), list[int]()
    while len(chosen) < k:
        value = (1 - diversity) * scaled - diversity * np.maximum(nearest, 0.0)
        value = np.where(free & (nearest < limit), value, -np.inf)
        best = int(value.argmax())
        # Only near duplicates of chosen candidates are left, or none at all.
        if not np.isfinite(value[best]):
            break
        chosen.append(best)
        free[best] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
