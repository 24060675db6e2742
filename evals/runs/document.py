"""Results as one JSON document: metrics with intervals, paired differences, slices, and predictions of the shift."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.evals.metrics.binary import expected_calibration_error, reliability
from whimbrel.evals.metrics.decisions import abstention, measure_decisions
from whimbrel.evals.metrics.intervals import bootstrap_means, percentile_interval
from whimbrel.evals.metrics.significance import holm
from whimbrel.evals.runs.results import GROUP, SHIFTS, STAYS, USAGE, Results

PRIMARY = "ndcg@10"
"""The metric that systems are ordered and compared by."""
WITH_INTERVAL = ("auc", "mrr", "map", "ndcg@5", "ndcg@10", "hr@1", "hr@5", "hr@10", "recall@10", "precision@10")
LIFT_METRICS = ("auc", "mrr", "ndcg@5", "ndcg@10", "hr@1")
"""Metrics in which whimbrel with its language model is compared with whimbrel without it."""


def document_of(results: Results, *, skipped: Mapping[str, str], problems: Sequence[object]) -> dict[str, Any]:
    """Return the results as one JSON document, with null for NaN.

    Args:
        results: The results.
        skipped: Systems that were skipped, with the reason of each.
        problems: Lines that are not cases.
    """
    document: dict[str, Any] = {
        "system": {name: _system(results, name) for name in results.systems},
        "cases": {
            "n": len(results.case_ids),
            "users": len(set(results.users.tolist())),
            "without relevant items": results.empty,
            "wrong lines": [str(problem) for problem in problems],
        },
        "skipped": dict(skipped),
        "slices": {name: _slice(results, within) for name, within in results.slices.items()},
        "groups": _groups(results),
        "shift": _shift(results),
    }
    # The reference is Whimbrel with its language model, or without it if only that was run.
    reference = next((name for name in ("whimbrel", "whimbrel-none") if name in results.systems), None)
    if reference and len(results.systems) > 1:
        slices = {name: results.slices[name] for name in (SHIFTS,) if name in results.slices}
        document["minus"] = {
            "of": reference,
            "metric": PRIMARY,
            "all cases": _differences(results, reference),
            **{name: _differences(results, reference, within) for name, within in slices.items()},
        }
    if {"whimbrel", "whimbrel-none"} <= results.systems.keys():
        document["llm lift"] = {
            metric: results.difference("whimbrel", "whimbrel-none", metric) for metric in LIFT_METRICS
        }
    rounded: dict[str, Any] = without_nan(document)
    return rounded


def _system(results: Results, name: str) -> dict[str, Any]:
    """Return the metrics and the cost of a system over all cases."""
    result = results.systems[name]
    row: dict[str, Any] = {"n": int((~np.isnan(result.column(PRIMARY))).sum())}
    for metric in result.values:
        if metric in WITH_INTERVAL:
            mean = results.interval(name, metric)
            row[metric], row[f"{metric}_ci"] = mean.value, [mean.low, mean.high]
        else:
            values = result.column(metric)
            row[metric] = float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
    row["coverage@10"] = len(result.recommended) / max(results.candidates, 1)
    row |= {"failed": result.failed, "with warnings": result.warned}
    row |= {key: round(float(result.totals[key]), 6) for key in USAGE}
    return row


def _slice(results: Results, within: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the size of a slice, and the primary metric of each system in it."""
    row: dict[str, Any] = {"n": int(within.sum())}
    for name in results.systems:
        mean = results.interval(name, PRIMARY, within)
        row[name] = {"value": mean.value, "ci": [mean.low, mean.high], "n": mean.n}
    return row


def _differences(results: Results, reference: str, within: NDArray[np.bool_] | None = None) -> dict[str, Any]:
    """Return the primary metric of the reference minus that of each other system, with p-values after Holm."""
    differences = {
        name: results.difference(reference, name, PRIMARY, within) for name in results.systems if name != reference
    }
    adjusted = holm({name: difference["p"] for name, difference in differences.items()})
    return {name: difference | {"p_holm": adjusted[name]} for name, difference in differences.items()}


def _groups(results: Results) -> dict[str, Any]:
    """Return for each group and system the primary metric in the group minus that in all other cases.

    Each difference has a 95% interval. Both sides of it use the same draws of users.
    """
    groups: dict[str, Any] = {}
    for label, within in results.slices.items():
        if not label.startswith(GROUP):
            continue
        groups[label] = {}
        for name, result in results.systems.items():
            values, users = result.column(PRIMARY), results.users
            inside, outside = np.where(within, values, np.nan), np.where(within, np.nan, values)
            if np.isnan(inside).all() or np.isnan(outside).all():
                continue
            # The same seed draws the same users for both, so the difference is paired.
            inside_draws, outside_draws = (
                bootstrap_means(part, users, seed=results.seed) for part in (inside, outside)
            )
            groups[label][name] = {
                "difference": float(np.nanmean(inside) - np.nanmean(outside)),
                "ci": list(percentile_interval(inside_draws - outside_draws)),
            }
    return groups


def _shift(results: Results) -> dict[str, Any]:
    """Return for each system how well it predicted whether the interest shifts.

    `said` measures how often the predicted shift came true. Cases without topics are left out.
    """
    if SHIFTS not in results.slices or STAYS not in results.slices:
        return {}
    systems = {}
    for name, result in results.systems.items():
        probability = np.array(result.p_topic_change, dtype=np.float64)
        known = ~np.isnan(probability) & (results.slices[SHIFTS] | results.slices[STAYS])
        if not known.any():
            continue
        shifts = results.slices[SHIFTS][known]
        # Users get new numbers, since some of them have no case with topics.
        _, users = np.unique(results.users[known], return_inverse=True)
        groups = [np.flatnonzero(users == user) for user in range(int(users.max()) + 1)]
        all_confidence = np.array(result.confidence, dtype=np.float64)[known]
        judged = ~np.isnan(all_confidence)
        confidence = all_confidence[judged]
        right = np.array(result.came_true, dtype=np.float64)[known][judged] > 0
        systems[name] = {
            "shifts": int(shifts.sum()),
            **measure_decisions(shifts, probability[known], groups, seed=results.seed),
            "said": {
                "n": len(right),
                "right": float(right.mean()) if len(right) else math.nan,
                "ece": expected_calibration_error(right, confidence),
                "reliability": [list(point) for point in reliability(right, confidence)],
                "abstention": abstention(right, confidence),
            },
        }
    return systems


def without_nan(value: Any) -> Any:
    """Return the same document for JSON. Numbers are rounded to six places. NaN and infinity become null."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nan(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
