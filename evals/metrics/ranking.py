"""Metrics of one ranking, from the ranks of its relevant items.

`ranks` holds the ranks of all relevant items among the candidates, in any order. Ranks start at 1. Items of equal
score share their mean rank, so a rank may be 2.5. An item that is not ranked has the rank infinity.

Without a relevant item every metric is NaN. Such a case is counted and left out of the mean. It never counts as 0.

The metrics are computed here, since libraries break ties by the order of the list. Tests compare them with trec_eval,
scikit-learn and RecTools if the conventions agree.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def mean_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each candidate. The highest score has rank 1, and equal scores share their mean rank.

    Example:
        >>> mean_ranks(np.array([0.2, 0.9, 0.2])).tolist()
        [2.5, 1.0, 2.5]
    """
    return np.asarray(rankdata(-scores, method="average"), dtype=np.float64)


def auc(ranks: Sequence[float], *, candidates: int) -> float:
    """Return the area under the ROC curve: the share of pairs that are in the right order.

    A pair is a relevant candidate and one that is not relevant. A tie counts half. NaN if every candidate is relevant,
    or if a relevant candidate is not ranked.

    Example:
        >>> auc([2.0], candidates=5)  # above three of the four other candidates
        0.75
    """
    relevant, others = len(ranks), candidates - len(ranks)
    if not relevant or others <= 0 or math.inf in ranks:
        return math.nan
    # The pairs are counted from the sum of ranks, as in the Mann-Whitney statistic.
    return (relevant * candidates - sum(ranks) - relevant * (relevant - 1) / 2) / (relevant * others)


def mrr(ranks: Sequence[float]) -> float:
    """Return the reciprocal rank of the first relevant item in the whole list."""
    return 1 / min(ranks) if ranks else math.nan


def ndcg_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Return binary NDCG@k in [0, 1] (Jarvelin & Kekalainen, 2002). The ideal list holds min(k, |relevant|) items.

    Example:
        >>> ndcg_at_k([1.0], k=5), ndcg_at_k([3.0], k=5), ndcg_at_k([6.0], k=5)
        (1.0, 0.5, 0.0)
    """
    if not ranks:
        return math.nan
    ideal = sum(1 / math.log2(1 + rank) for rank in range(1, min(k, len(ranks)) + 1))
    return sum(1 / math.log2(1 + rank) for rank in ranks if rank <= k) / ideal


def hit_rate_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Return 1 if a relevant item is among the first k items, else 0."""
    return float(min(ranks) <= k) if ranks else math.nan


def recall_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Return the share of the relevant items that are among the first k items."""
    return sum(rank <= k for rank in ranks) / len(ranks) if ranks else math.nan


def precision_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Return the number of relevant items among the first k, divided by k.

    The divisor is k even if there are fewer candidates.
    """
    return sum(rank <= k for rank in ranks) / k if ranks else math.nan


def f1_at_k(ranks: Sequence[float], *, k: int) -> float:
    """Return the harmonic mean of precision@k and recall@k; 0 without a hit.

    Example:
        >>> f1_at_k([1.0, 9.0], k=3)  # one hit: 2 * 1 / (3 + 2)
        0.4
    """
    return 2 * sum(rank <= k for rank in ranks) / (k + len(ranks)) if ranks else math.nan


def accuracy_at_k(ranks: Sequence[float], *, k: int, candidates: int) -> float:
    """Return the share of the candidates that a list of k items treats right.

    A candidate is treated right if it is relevant and listed, or neither. A relevant item that cannot be ranked counts
    as a candidate. Where few candidates are relevant, a list without any hit is right for nearly all of them too.

    Example:
        >>> accuracy_at_k([1.0, 9.0], k=3, candidates=10)  # two listed in vain, one missed
        0.7
    """
    if not ranks:
        return math.nan
    hits = sum(rank <= k for rank in ranks)
    return 1 - (min(k, candidates) + len(ranks) - 2 * hits) / max(candidates, len(ranks))


def average_precision(ranks: Sequence[float]) -> float:
    """Return the precision at the rank of each relevant item, averaged. Its mean over cases is MAP.

    Example:
        >>> average_precision([1.0, 4.0])  # 1/1 and 2/4
        0.75
    """
    if not ranks:
        return math.nan
    return sum(hits / rank for hits, rank in enumerate(sorted(ranks), start=1)) / len(ranks)


def all_of(ranks: Sequence[float], *, candidates: int) -> dict[str, float]:
    """Return every metric by its report key."""
    return {
        "auc": auc(ranks, candidates=candidates),
        "mrr": mrr(ranks),
        "map": average_precision(ranks),
        **{f"ndcg@{k}": ndcg_at_k(ranks, k=k) for k in (5, 10)},
        **{f"hr@{k}": hit_rate_at_k(ranks, k=k) for k in (1, 5, 10)},
        "recall@10": recall_at_k(ranks, k=10),
        "precision@10": precision_at_k(ranks, k=10),
    }
