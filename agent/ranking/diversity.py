"""Choose the list that is shown: the best candidates, without near duplicates and, on request, diverse."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whimbrel.agent.ranking.rank import Ranked, Ranking

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
    chosen = diverse(ranking.ranked, k=k, diversity=diversity, near_duplicates=near_duplicates)
    rows = set(chosen)
    rest = (entry for row, entry in enumerate(ranking.ranked) if row not in rows)
    return replace(ranking, ranked=(*(ranking.ranked[row] for row in chosen), *rest), listed=len(chosen))


def diverse(ranked: Sequence[Ranked], *, k: int, diversity: float = 0.0, near_duplicates: bool = False) -> list[int]:
    """Choose the rows of up to `k` entries, in the order of choice.

    Scores are scaled to [0, 1]. Each step chooses the entry with the greatest value of (1 - diversity) * score -
    diversity * cosine. The cosine compares the entry with the nearest entry already chosen. This is maximal marginal
    relevance (Carbonell & Goldstein, 1998).

    Args:
        ranked: Candidates by score, the best first.
        k: How many to choose.
        diversity: In [0, 1]; 0 keeps the order by score.
        near_duplicates: Whether a near duplicate of an entry already chosen may be chosen too.
    """
    considered = ranked[: max(CONSIDERED, 2 * k)] if diversity else ranked
    if not considered:
        return []
    vectors = np.stack([entry.candidate.vector for entry in considered])
    scores = np.array([entry.score for entry in considered])
    # 1e-9 avoids a division by zero if all scores are equal.
    scaled = (scores - scores.min()) / max(float(np.ptp(scores)), 1e-9)
    limit = np.inf if near_duplicates else NEAR_DUPLICATE
    # -1 is the lowest cosine: before the first choice, no entry is near a chosen one.
    nearest, free, chosen = np.full(len(considered), -1.0), np.ones(len(considered), dtype=bool), list[int]()
    while len(chosen) < k:
        value = (1 - diversity) * scaled - diversity * np.maximum(nearest, 0.0)
        value = np.where(free & (nearest < limit), value, -np.inf)
        best = int(value.argmax())
        # Only near duplicates of chosen entries are left, or none at all.
        if not np.isfinite(value[best]):
            break
        chosen.append(best)
        free[best] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
