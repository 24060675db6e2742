"""Compare our metrics with those of RecTools on the same rankings.

RecTools (`make sasrec` installs it) does not average over ties. Our metrics are therefore shown twice. As "reported",
tied items share their mean rank. "As listed", the order of the ranking file breaks ties.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.learning.cases import Case
from whimbrel.evals.metrics import ranking
from whimbrel.evals.reports.tables import figure
from whimbrel.evals.runs.files import read_rankings
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.results import results_of
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import NoProgress, Progress

METRICS = ("ndcg@10", "hr@10", "recall@10", "map")
TOLERANCE = 0.0005
"""A difference of this size changes the third decimal, which is the last one that reports show."""

Parts = Sequence[tuple[Plan, Path]]


def measure_agreement(folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Compare the metrics of a run folder with RecTools.

    Returns:
        `system` holds the values `reported`, `as listed` and `rectools` for each system and metric. `largest difference
        as listed` is the largest difference between `as listed` and `rectools`.

    Raises:
        ConfigError: RecTools is not installed, or the folder holds no run.
    """
    progress = progress or NoProgress()
    parts = parts_of(folder)
    progress.step("Measuring", None)
    results = results_of(parts)
    progress.step("Comparing with RecTools", len(results.systems))
    systems: dict[str, dict[str, dict[str, float]]] = {}
    largest = 0.0
    for system in results.systems:
        theirs, ours = rectools_figures(parts, system), listed_figures(parts, system)
        systems[system] = {
            metric: {
                "reported": results.interval(system, metric).value,
                "as listed": ours[metric],
                "rectools": theirs[metric],
            }
            for metric in METRICS
        }
        largest = max([largest, *(abs(theirs[metric] - ours[metric]) for metric in METRICS)])
        progress.advance(1)
    return {"system": systems, "largest difference as listed": largest}


def agreement_lines(document: dict[str, Any]) -> list[str]:
    """Return the results of `measure_agreement` as lines of text."""
    lines = [
        f"{system:<20} {metric:<10} reported {figure(values['reported'])}  as listed {values['as listed']:.6f}  "
        f"RecTools {values['rectools']:.6f}"
        for system, metrics in document["system"].items()
        for metric, values in metrics.items()
    ]
    return [*lines, f"largest difference as listed: {document['largest difference as listed']:.2e}"]


def rectools_figures(parts: Parts, system: str) -> dict[str, float]:
    """Return the metrics of RecTools, as means over the cases with a relevant item in all folds.

    NDCG is divided by that of the best achievable ranking. MAP is computed over the hundred listed items.
    """
    try:
        import pandas as pd
        from rectools.metrics import MAP, NDCG, HitRate, Recall
    except ImportError as error:
        raise ConfigError(f"RecTools is not installed ({error}): run `make sasrec`") from error

    relevant_rows: list[dict[str, Any]] = []
    ranked_rows: list[dict[str, Any]] = []
    for plan, folder in parts:
        relevant = _relevant(plan)
        for line in read_rankings(folder):
            if line.system == system and relevant[line.case_id]:
                user = f"{folder.name} {line.case_id}"  # a user may have a case in several folds
                relevant_rows += [{"user_id": user, "item_id": item_id} for item_id in relevant[line.case_id]]
                ranked_rows += [
                    {"user_id": user, "item_id": item_id, "rank": rank}
                    for rank, item_id in enumerate(line.ranking, start=1)
                ]
    metrics = {
        "ndcg@10": NDCG(k=10, divide_by_achievable=True),
        "hr@10": HitRate(k=10),
        "recall@10": Recall(k=10),
        "map": MAP(k=100),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # RecTools calls pandas in a way that makes it warn
        rankings, interactions = pd.DataFrame(ranked_rows), pd.DataFrame(relevant_rows)
        return {name: float(metric.calc(rankings, interactions)) for name, metric in metrics.items()}


def listed_figures(parts: Parts, system: str) -> dict[str, float]:
    """Return our metrics as means over the same cases. The ranks follow the order of the ranking file."""
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for plan, folder in parts:
        relevant = _relevant(plan)
        for line in read_rankings(folder):
            if line.system == system:
                rank_of = {item_id: float(rank) for rank, item_id in enumerate(line.ranking, start=1)}
                ranks = [rank_of.get(item_id, np.inf) for item_id in relevant[line.case_id]]
                measured = ranking.all_of(ranks, candidates=len(rank_of))
                for name in METRICS:
                    values[name].append(measured[name])
    return {name: float(np.nanmean(column)) for name, column in values.items()}


def _relevant(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {case.blind.case_id: case.relevant for case in plan.read() if isinstance(case, Case)}
