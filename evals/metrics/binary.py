"""Metrics of probabilities against what was: does the interest shift here, yes or no.

`truth` and `probability` have one entry a decision, shape (n,); decided is yes where the probability is at least the
threshold.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

THRESHOLD = 0.5
BINS = 10


def confusion(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> tuple[int, int, int, int]:
    """Counts of true positives, false positives, false negatives, true negatives."""
    decided = probability >= threshold
    return (
        int((decided & truth).sum()),
        int((decided & ~truth).sum()),
        int((~decided & truth).sum()),
        int((~decided & ~truth).sum()),
    )


def accuracy(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Share of right decisions; NaN where there are none."""
    right, _, _, rejected = confusion(truth, probability, threshold=threshold)
    return (right + rejected) / len(truth) if len(truth) else math.nan


def precision(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Share of the yes that were right; 0 where none was said."""
    right, wrong, _, _ = confusion(truth, probability, threshold=threshold)
    return right / (right + wrong) if right + wrong else 0.0


def recall(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Share of the true ones that were found; NaN where there are none."""
    right, _, missed, _ = confusion(truth, probability, threshold=threshold)
    return right / (right + missed) if right + missed else math.nan


def f1(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """2 TP / (2 TP + FP + FN); NaN where nothing is true."""
    right, wrong, missed, _ = confusion(truth, probability, threshold=threshold)
    return 2 * right / (2 * right + wrong + missed) if right + missed else math.nan


def average_precision(truth: Truth, probability: Floats) -> float:
    """Area under precision against recall as a step function, equal probabilities taken together; NaN where nothing
    is true. The convention of scikit-learn."""
    if not truth.any():
        return math.nan
    order = np.argsort(-probability, kind="stable")
    found = np.cumsum(truth[order])
    last = np.append(np.diff(probability[order]) != 0, True)  # of those with equal probability
    at = np.flatnonzero(last)
    gained = np.diff(np.concatenate([[0], found[at]]))
    return float((gained * found[at] / (at + 1)).sum() / truth.sum())


def brier(truth: Truth, probability: Floats) -> float:
    """Mean squared difference between probability and outcome (Brier, 1950); NaN where there are none."""
    return float(np.mean((probability - truth) ** 2)) if len(truth) else math.nan


def reliability(truth: Truth, probability: Floats) -> list[tuple[float, float, int]]:
    """Mean probability, share of the true, and count in each of ten bins of equal width that holds any."""
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        (float(probability[bins == b].mean()), float(truth[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def expected_calibration_error(truth: Truth, probability: Floats) -> float:
    """Mean over decisions of |mean probability - share of the true| in their bin (Naeini et al., 2015)."""
    if not len(truth):
        return math.nan
    return sum(count * abs(said - came) for said, came, count in reliability(truth, probability)) / len(truth)


def all_of(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> dict[str, float]:
    """Every metric by its report key."""
    return {
        "accuracy": accuracy(truth, probability, threshold=threshold),
        "precision": precision(truth, probability, threshold=threshold),
        "recall": recall(truth, probability, threshold=threshold),
        "f1": f1(truth, probability, threshold=threshold),
        "average_precision": average_precision(truth, probability),
        "brier": brier(truth, probability),
        "ece": expected_calibration_error(truth, probability),
    }
