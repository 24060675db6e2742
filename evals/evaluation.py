"""Evaluate from Python or in a notebook: what `whimbrel eval rank` and `whimbrel eval log` measure, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Self

from whimbrel.agent.html import block, interval_bar, table, words
from whimbrel.evals.data.folds import Protocol, write_folds
from whimbrel.evals.data.logs import read_log, read_store
from whimbrel.evals.reports.markdown import best_first
from whimbrel.evals.reports.tables import figure, p_value
from whimbrel.evals.runs.crossfit import fit_parts
from whimbrel.evals.runs.document import PRIMARY, WITH_INTERVAL
from whimbrel.evals.runs.files import RESULTS, read_document
from whimbrel.evals.runs.measure import Execution, measure_plans, run_folder
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.systems.protocol import Settings
from whimbrel.tools.frames import Tabular
from whimbrel.tools.sources.rows import Source

SYSTEMS = ("whimbrel-none", "popularity", "recent-popularity", "similarity", "itemknn")
"""Whimbrel without a language model, and baselines that learn within seconds."""
SHOWN = (PRIMARY, "mrr", "hr@1", "hr@10")
"""The metrics that a notebook shows. Frames hold all that have an interval."""


@dataclass(frozen=True)
class Evaluation(Tabular):
    """What was measured: each system, each metric, with its 95% interval (paired bootstrap over users).

    Attributes:
        document: What `whimbrel eval rank --json` prints.
    """

    document: Mapping[str, Any]

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read what `whimbrel eval rank --out FOLDER` or `whimbrel eval log --out FOLDER` measured.

        Raises:
            DataError: The folder holds no results.
        """
        return cls(read_document(Path(folder) / RESULTS))

    def columns(self) -> dict[str, list[Any]]:
        """Return a row for each system and metric, the best system first. `low` and `high` end the 95% interval."""
        systems = self.document["system"]
        rows = [
            (name, metric, systems[name][metric], *systems[name][f"{metric}_ci"], systems[name]["n"])
            for name in best_first(systems)
            for metric in WITH_INTERVAL
            if systems[name].get(metric) is not None
        ]
        heads = ("system", "metric", "value", "low", "high", "n")
        return {head: [row[number] for row in rows] for number, head in enumerate(heads)}

    def _repr_html_(self) -> str:
        return evaluation_html(self.document)


def evaluate_cases(
    cases: str | Path,
    systems: Sequence[str] = SYSTEMS,
    llm: str = "none",
    *,
    sessions: str | Path | None = None,
    items: str | Path | None = None,
    crossfit: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
) -> Evaluation:
    """Measure systems on a file of cases, as `whimbrel eval rank` does. The arguments are its options.

    Raises:
        ConfigError: A system does not exist, or `out` holds another run.
        DataError: A file cannot be read, or no line is a case.
    """
    log, catalogue = (Path(file) if file else None for file in (sessions, items))
    plan = Plan(Path(cases), tuple(systems), Settings(seed, llm), log, catalogue, limit)
    with run_folder(Path(out) if out else None, in_parts=crossfit is not None) as folder:
        parts = fit_parts(plan, crossfit, folder) if crossfit else [(plan, folder)]
        return Evaluation(measure_plans(parts, folder, Execution()))


def evaluate_log(
    log: str | Path | Source,
    systems: Sequence[str] = SYSTEMS,
    llm: str = "none",
    *,
    protocol: Protocol | None = None,
    out: str | Path | None = None,
) -> Evaluation:
    """Measure systems on a whole log, each case as of its own time, as `whimbrel eval log` does.

    Args:
        log: A store, or a source (see `tools.sources.formats.open_source`).
        systems: Names of systems.
        llm: A model spec, which the system `whimbrel` uses.
        protocol: How the log is cut into cases. By default each user's last event is predicted, in five folds.
        out: The folder of the run, which the same call resumes. By default nothing is kept.

    Raises:
        ConfigError: A system or protocol does not exist, or `out` holds another run.
        DataError: The log cannot be read, or no case is left.
    """
    cut = protocol or Protocol()
    whole = read_log(log) if isinstance(log, Source) else read_store(str(log))
    with run_folder(Path(out) if out else None, in_parts=True) as folder:
        parts = [
            (
                Plan(fold.cases, tuple(systems), Settings(cut.seed, llm), fold.sessions, fold.items),
                fold.cases.parent,
            )
            for fold in write_folds(whole, cut, folder)
        ]
        return Evaluation(measure_plans(parts, folder, Execution()))


def evaluation_html(document: Mapping[str, Any]) -> str:
    """Show the metrics of each system with their intervals, and how far the reference is ahead of each other system."""
    systems, cases = document["system"], document["cases"]
    minus = document.get("minus", {})
    ahead = minus.get("all cases", {})
    metrics = [metric for metric in SHOWN if any(row.get(metric) is not None for row in systems.values())]
    most = max((row[f"{PRIMARY}_ci"][1] or 0 for row in systems.values()), default=0) or 1
    rows = []
    for name in best_first(systems):
        row = systems[name]
        cells = [_with_interval(row, metric) for metric in metrics]
        low, high = row[f"{PRIMARY}_ci"]
        bar = interval_bar(low, row[PRIMARY], high, most=most) if row[PRIMARY] is not None else ""
        rows.append([words(name), str(row["n"]), bar, *cells, *([_ahead(ahead.get(name))] if ahead else [])])
    heads = ["system", "n", "", *metrics]
    heads += [f"{minus['of']} minus this, {minus['metric']}"] if ahead else []
    note = (
        f"{cases['n']} cases of {cases['users']} users. {cases['without relevant items']} cases without relevant items "
        "are left out. Intervals: 95%, paired bootstrap over users; p after Holm."
    )
    shifts = [
        f"Whether the interest shifts, as {name} predicts it (n={row['n']}, {row['shifts']} shifts): "
        f"average precision {figure(row['average_precision'])}, Brier score {figure(row['brier'])}, "
        f"calibration error {figure(row['ece'])}."
        for name, row in document["shift"].items()
    ]
    return block(
        table(heads, rows),
        words(note, "opacity:.75"),
        *map(words, shifts),
        *(words(f"Skipped: {name}: {reason}", "opacity:.75") for name, reason in document["skipped"].items()),
    )


def _with_interval(row: Mapping[str, Any], metric: str) -> str:
    low, high = row[f"{metric}_ci"]
    ends = f'<span style="opacity:.75">[{figure(low)}, {figure(high)}]</span>'
    return f'<span style="white-space:nowrap">{figure(row[metric])} {ends}</span>'


def _ahead(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    low, high = row["ci"]
    return f"{figure(row['difference'])} [{figure(low)}, {figure(high)}], p {escape(p_value(row['p_holm']))}"
