"""Decisions of yes or no, given as probabilities, with every metric and its interval."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.intervals import bootstrap_statistic, spread

DECIDED = ("accuracy", "precision", "recall", "f1")
"""Metrics that depend on the threshold."""


def measured(
    truth: NDArray[np.bool_],
    probability: NDArray[np.float64],
    groups: Sequence[NDArray[np.int64]],
    *,
    seed: int,
    threshold: float = binary.THRESHOLD,
) -> dict[str, Any]:
    """Metrics of decisions, shape (n,), with 95% bootstrap intervals over `groups` (rows that are drawn together, those
    of one session or user), and the points of the reliability diagram."""
    found: dict[str, Any] = {"n": len(truth), **binary.all_of(truth, probability, threshold=threshold)}
    found["threshold"] = threshold
    for metric in (*DECIDED, "average_precision", "brier"):
        measure: Callable[..., float] = getattr(binary, metric)
        if metric in DECIDED:
            measure = partial(measure, threshold=threshold)
        draws = bootstrap_statistic(partial(_of_rows, measure, truth, probability), groups, seed=seed)
        found[f"{metric}_ci"] = list(spread(draws)) if len(draws) else [math.nan, math.nan]
    found["reliability"] = [list(point) for point in binary.reliability(truth, probability)]
    return found


def abstention(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> list[list[float]]:
    """[share answered, share of these that was right, least confidence answered], the surest first, in twentieths."""
    if not len(right):
        return []
    order = np.argsort(-confidence, kind="stable")
    counts = np.unique(np.linspace(1, len(order), 21).astype(int)[1:])
    return [
        [float(n / len(order)), float(right[order[:n]].mean()), float(confidence[order[n - 1]])]
        for n in counts.tolist()
    ]


def _of_rows(
    measure: Callable[..., float],
    truth: NDArray[np.bool_],
    probability: NDArray[np.float64],
    rows: NDArray[np.int64],
) -> float:
    return measure(truth[rows], probability[rows])
