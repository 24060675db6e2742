"""Yes-or-no decisions, given as probabilities, with every metric and its interval."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.intervals import MOST_AT_ONCE, bootstrap_counts, bootstrap_sums, percentile_interval

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

DRAWS = 500
"""Bootstrap draws."""


def measure_decisions(
    truth: Truth,
    probability: Floats,
    groups: Sequence[NDArray[np.int64]],
    *,
    seed: int,
    threshold: float = binary.THRESHOLD,
) -> dict[str, Any]:
    """Measure decisions, with 95% bootstrap intervals.

    Args:
        truth: Outcomes, shape (n,).
        probability: Their probabilities, shape (n,).
        groups: The rows of each session or user. The rows of a group are drawn together. Each row is in one group.
        seed: Seed of the draws.
        threshold: A decision is yes if its probability is at least this.

    Returns:
        Each metric of `binary` under its report key, and its interval under `KEY_ci`. `reliability` holds the points
        of the reliability diagram.
    """
    document: dict[str, Any] = {"n": len(truth), **binary.all_of(truth, probability, threshold=threshold)}
    document["threshold"] = threshold
    for metric, draws in _draws(truth, probability, groups, seed, threshold).items():
        document[f"{metric}_ci"] = list(percentile_interval(draws)) if len(draws) else [math.nan, math.nan]
    document["reliability"] = [list(point) for point in binary.reliability(truth, probability)]
    return document


def _draws(
    truth: Truth, probability: Floats, groups: Sequence[NDArray[np.int64]], seed: int, threshold: float
) -> dict[str, Floats]:
    """Return the bootstrap draws of each metric.

    All metrics use the same draws of groups. They are computed from sums over groups, since calling scikit-learn for
    500 draws takes seconds.
    """
    # The columns are hits, false alarms, misses, right rejections and squared errors.
    yes = probability >= threshold
    columns = (yes & truth, yes & ~truth, ~yes & truth, ~yes & ~truth, (probability - truth) ** 2)
    sums = [np.array([column[rows].sum() for rows in groups], dtype=np.float64) for column in columns]
    hits, false_alarms, misses, rejections, squares = bootstrap_sums(sums, seed=seed, draws=DRAWS)
    total = hits + false_alarms + misses + rejections
    positives = hits + misses
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": (hits + rejections) / total,
            "precision": np.where(hits + false_alarms > 0, hits / (hits + false_alarms), 0.0),
            "recall": hits / positives,  # 0 / 0 is NaN: a draw without positives
            "f1": np.where(positives > 0, 2 * hits / (2 * hits + false_alarms + misses), np.nan),
            "average_precision": average_precision_draws(truth, probability, groups, seed=seed),
            "brier": squares / total,
        }


def average_precision_draws(
    truth: Truth, probability: Floats, groups: Sequence[NDArray[np.int64]], *, seed: int
) -> Floats:
    """Return the average precision of each bootstrap draw of groups, shape (draws,).

    It equals `binary.average_precision`. Rows are sorted once. A draw weights each row by how often its group was
    drawn.
    """
    group_of_row = np.zeros(len(truth), dtype=np.int64)
    for number, rows in enumerate(groups):
        group_of_row[rows] = number
    order = np.argsort(-probability, kind="stable")
    last_of_step = np.append(np.diff(probability[order]) != 0, True)  # equal probabilities are one step
    draws = []
    for counts in bootstrap_counts(len(groups), seed=seed, draws=DRAWS):
        # Draws are handled in parts, since `weights` has a row for each draw and a column for each decision.
        for some in np.array_split(counts, -(-counts.shape[0] * len(truth) // MOST_AT_ONCE)):
            weights = some[:, group_of_row[order]]
            hits = np.cumsum(weights * truth[order], axis=1)[:, last_of_step]
            decided = np.cumsum(weights, axis=1)[:, last_of_step]
            gained = np.diff(hits, axis=1, prepend=0)  # positives of each step: its unnormalised width in recall
            area = (gained * hits / np.maximum(decided, 1)).sum(axis=1)
            draws.append(np.divide(area, hits[:, -1], out=np.full(len(some), np.nan), where=hits[:, -1] > 0))
    return np.concatenate(draws) if draws else np.empty(0)


def abstention(right: Truth, confidence: Floats) -> list[list[float]]:
    """Return how often answers are right if only the most confident answers are given.

    Args:
        right: Whether each answer is right, shape (n,).
        confidence: How sure each answer is, shape (n,).

    Returns:
        One point for each twentieth of the answers, the most confident first. A point is [share of answers given,
        share of these that is right, lowest confidence among these]. Empty if there are no answers.

    Example:
        >>> abstention(np.array([True, False]), np.array([0.9, 0.6]))
        [[0.5, 1.0, 0.9], [1.0, 0.5, 0.6]]
    """
    if not len(right):
        return []
    order = np.argsort(-confidence, kind="stable")
    counts = np.unique(np.linspace(1, len(order), 21).astype(int)[1:])
    return [
        [float(n / len(order)), float(right[order[:n]].mean()), float(confidence[order[n - 1]])]
        for n in counts.tolist()
    ]
