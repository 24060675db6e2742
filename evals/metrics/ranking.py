"""Metrics of one ranking, from the ranks of its relevant items.

`ranks` are the ranks, from 1, of all relevant items among the candidates, in any order; items of equal score share
their mean rank (so a rank may be 2.5), one that is not ranked has the rank infinity. All are NaN where nothing is
relevant: such a case is counted and left out of the mean, never taken as 0.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def mean_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank of each candidate, from 1, the highest score first, equal scores at their mean; shape as `scores`."""
    return np.asarray(rankdata(-scores, method="average"), dtype=np.float64)


def auc(ranks: Sequence[float], *, candidates: int) -> float:
    """Share of pairs of a relevant and another candidate in the right order, ties half (area under the ROC curve).

    NaN where every candidate is relevant, or one is not ranked.
    """
    relevant, others = len(ranks), candidates - len(ranks)
    if not relevant or others <= 0 or math.inf in ranks:
        return math.nan
    return (relevant * candidates - sum(ranks) - relevant * (relevant - 1) / 2) / (relevant * others)


def mrr(ranks: Sequence[float]) -> float:
    """Reciprocal rank of the first relevant item, over the whole list."""
    return 1 / min(ranks) if ranks else math.nan


def ndcg_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Binary NDCG@k in [0, 1] (Jarvelin & Kekalainen, 2002); the ideal list holds min(k, |relevant|) items."""
    if not ranks:
        return math.nan
    ideal = sum(1 / math.log2(1 + place) for place in range(1, min(k, len(ranks)) + 1))
    return sum(1 / math.log2(1 + rank) for rank in ranks if rank <= k) / ideal


def hit_rate_at_k(ranks: Sequence[float], *, k: int) -> float:
    """1 where a relevant item is among the first k, else 0."""
    return float(min(ranks) <= k) if ranks else math.nan


def recall_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Share of the relevant items that is among the first k."""
    return sum(rank <= k for rank in ranks) / len(ranks) if ranks else math.nan


def precision_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Share of k places that relevant items take; k stays k where there are fewer candidates."""
    return sum(rank <= k for rank in ranks) / k if ranks else math.nan


def average_precision(ranks: Sequence[float]) -> float:
    """Mean over the relevant items of the precision at their rank; its mean over cases is MAP."""
    if not ranks:
        return math.nan
    return sum(found / rank for found, rank in enumerate(sorted(ranks), start=1)) / len(ranks)


def all_of(ranks: Sequence[float], *, candidates: int) -> dict[str, float]:
    """Every metric by its report key."""
    return {
        "auc": auc(ranks, candidates=candidates),
        "mrr": mrr(ranks),
        "map": average_precision(ranks),
        **{f"ndcg@{k}": ndcg_at_k(ranks, k=k) for k in (5, 10)},
        **{f"hr@{k}": hit_rate_at_k(ranks, k=k) for k in (1, 5, 10)},
        "recall@10": recall_at_k(ranks, k=10),
        "precision@10": precision_at_k(ranks, k=10),
    }
