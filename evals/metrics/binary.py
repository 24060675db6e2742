"""Metrics of probabilities against yes-or-no outcomes, computed by scikit-learn.

`truth` and `probability` have one entry for each decision, shape (n,). A decision is yes if its probability is at
least the threshold.

Conventions that differ from scikit-learn's defaults:

- An undefined metric is NaN, not 0 or an error. Recall, F1 and average precision are undefined without a positive.
  Accuracy and Brier score are undefined without a decision. Precision is 0 if no decision is yes.
- `reliability` puts a probability on the edge of two bins into the higher bin, and returns the size of each bin.
  `sklearn.calibration.calibration_curve` uses the lower bin and returns no sizes, so bins are counted here.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

THRESHOLD = 0.5
BINS = 10


def accuracy(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Return the share of decisions that were right; NaN if there are no decisions."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, probability >= threshold)) if len(truth) else math.nan


def precision(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Return the share of yes decisions that were right; 0 if no decision is yes."""
    from sklearn.metrics import precision_score

    return float(precision_score(truth, probability >= threshold, zero_division=0)) if len(truth) else 0.0


def recall(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Return the share of positives that were decided yes; NaN if there are no positives."""
    from sklearn.metrics import recall_score

    return float(recall_score(truth, probability >= threshold)) if truth.any() else math.nan


def f1(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> float:
    """Return 2 TP / (2 TP + FP + FN); NaN if there are no positives.

    Example:
        >>> f1(np.array([True, True, False]), np.array([0.9, 0.2, 0.1]))  # one hit, one miss
        0.6666666666666666
    """
    from sklearn.metrics import f1_score

    return float(f1_score(truth, probability >= threshold)) if truth.any() else math.nan


def average_precision(truth: Truth, probability: Floats) -> float:
    """Return the area under the step function of precision over recall; NaN if there are no positives.

    Equal probabilities are one step. Scores of any scale work, not only probabilities.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, probability)) if truth.any() else math.nan


def brier(truth: Truth, probability: Floats) -> float:
    """Return the mean squared difference of probability and outcome (Brier, 1950); NaN if there are no decisions."""
    from sklearn.metrics import brier_score_loss

    if not len(truth):
        return math.nan
    # scikit-learn cannot infer both labels if all decisions have the same outcome.
    return float(brier_score_loss(truth, probability, pos_label=True, labels=[False, True]))


def reliability(truth: Truth, probability: Floats) -> list[tuple[float, float, int]]:
    """Return the points of the reliability diagram.

    Returns:
        One point for each non-empty bin of ten bins of equal width. A point is the mean probability, the share of
        positives, and the number of decisions.

    Example:
        >>> reliability(np.array([True, False, True]), np.array([0.25, 0.25, 0.75]))
        [(0.25, 0.5, 2), (0.75, 1.0, 1)]
    """
    # A probability of 1 would fall into an eleventh bin.
    bins = np.minimum((probability * BINS).astype(int), BINS - 1)
    return [
        (float(probability[bins == b].mean()), float(truth[bins == b].mean()), int((bins == b).sum()))
        for b in range(BINS)
        if (bins == b).any()
    ]


def expected_calibration_error(truth: Truth, probability: Floats) -> float:
    """Return the expected calibration error (Naeini et al., 2015); NaN if there are no decisions.

    The error of a bin is |mean probability - share of positives|. Bins are weighted by their number of decisions.
    """
    if not len(truth):
        return math.nan
    points = reliability(truth, probability)
    return sum(count * abs(predicted - observed) for predicted, observed, count in points) / len(truth)


def all_of(truth: Truth, probability: Floats, *, threshold: float = THRESHOLD) -> dict[str, float]:
    """Return every metric by its report key."""
    return {
        "accuracy": accuracy(truth, probability, threshold=threshold),
        "precision": precision(truth, probability, threshold=threshold),
        "recall": recall(truth, probability, threshold=threshold),
        "f1": f1(truth, probability, threshold=threshold),
        "average_precision": average_precision(truth, probability),
        "brier": brier(truth, probability),
        "ece": expected_calibration_error(truth, probability),
    }
