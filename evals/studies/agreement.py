"""Our figures beside those that RecTools measures on the same rankings of the same split.

    whimbrel eval log --dataset movielens --path ml-100k --system itemknn,als,sasrec --out run
    python -m whimbrel.evals.studies.agreement run

RecTools (`make sasrec`) knows no ties, so ours are shown as reported, with tied items at their mean rank, and by the
order listed.
"""

import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from whimbrel.agent.learning.cases import Case
from whimbrel.evals.metrics import ranking
from whimbrel.evals.reports.tables import figure
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.results import results_of
from whimbrel.evals.runs.run import RANKINGS, read_lines

METRICS = ("ndcg@10", "hr@10", "recall@10", "map")


def rectools_figures(parts: list[tuple[Plan, Path]], system: str) -> dict[str, float]:
    """Means over all folds' cases with something relevant, by RecTools.

    NDCG with the ideal list of what could be achieved, MAP over the hundred places listed.
    """
    import pandas as pd
    from rectools.metrics import MAP, NDCG, HitRate, Recall

    truth: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    for plan, folder in parts:
        relevant = {read.blind.case_id: read.relevant for read in plan.read() if isinstance(read, Case)}
        for line in read_lines(folder / RANKINGS):
            if line["system"] == system and relevant[line["case_id"]]:
                user = f"{folder.name} {line['case_id']}"
                truth += [{"user_id": user, "item_id": item_id} for item_id in relevant[line["case_id"]]]
                listed += [
                    {"user_id": user, "item_id": item_id, "rank": rank}
                    for rank, item_id in enumerate(line["ranking"], start=1)
                ]
    metrics = {
        "ndcg@10": NDCG(k=10, divide_by_achievable=True),
        "hr@10": HitRate(k=10),
        "recall@10": Recall(k=10),
        "map": MAP(k=100),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rankings, interactions = pd.DataFrame(listed), pd.DataFrame(truth)
        return {name: float(metric.calc(rankings, interactions)) for name, metric in metrics.items()}


def listed_figures(parts: list[tuple[Plan, Path]], system: str) -> dict[str, float]:
    """The same by our metrics, with ranks as listed."""
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for plan, folder in parts:
        relevant = {read.blind.case_id: read.relevant for read in plan.read() if isinstance(read, Case)}
        for line in read_lines(folder / RANKINGS):
            if line["system"] == system:
                place = {item_id: float(rank) for rank, item_id in enumerate(line["ranking"], start=1)}
                ranks = [place.get(item_id, np.inf) for item_id in relevant[line["case_id"]]]
                found = ranking.all_of(ranks, candidates=len(place))
                for name in METRICS:
                    values[name].append(found[name])
    return {name: float(np.nanmean(column)) for name, column in values.items()}


def main(folder: Annotated[Path, typer.Argument(help="Where a run was kept with --out.")]) -> None:
    """Print our figures and RecTools', and fail where those of the same order differ in the third decimal."""
    parts = parts_of(folder)
    results = results_of(parts)
    worst = 0.0
    for system in results.systems:
        theirs, ours = rectools_figures(parts, system), listed_figures(parts, system)
        for metric in METRICS:
            reported = results.interval(system, metric).value
            worst = max(worst, abs(theirs[metric] - ours[metric]))
            print(
                f"{system:<20} {metric:<10} reported {figure(reported)}  as listed {ours[metric]:.6f}  "
                f"RecTools {theirs[metric]:.6f}"
            )
    print(f"largest difference as listed: {worst:.2e}")
    raise typer.Exit(worst >= 0.0005)


if __name__ == "__main__":
    typer.run(main)
