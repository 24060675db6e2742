"""Results as Markdown and as CSV."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from whimbrel.evals.reports import tables
from whimbrel.evals.reports.tables import RANKING, figure, p_value
from whimbrel.evals.runs.document import PRIMARY
from whimbrel.evals.runs.results import SHIFTS

Row = Mapping[str, Any]


def best_first(systems: Mapping[str, Row]) -> list[str]:
    """Return the names of systems, the best by the primary metric first."""
    return sorted(systems, key=lambda name: -(systems[name][PRIMARY] or 0))


def ranking_markdown(document: Row, name: str) -> str:
    """Return the results of a run as Markdown.

    Args:
        document: See `evals.runs.document.document_of`.
        name: Name of the run.
    """
    cases, order = document["cases"], best_first(document["system"])
    # A section without lines is left out.
    sections = [
        [f"### {name}: {cases['n']} cases of {cases['users']} users"],
        _systems(document, order),
        _lift(document),
        _differences(document, order),
        _slices(document, order),
        _shift(document),
        _groups(document, order),
        [
            "Intervals: 95%, paired bootstrap over users. Tied items share their mean rank. The ideal list of NDCG has "
            f"min(k, relevant) items. {cases['without relevant items']} cases without relevant items are left out.",
            *(f"Skipped: {system}: {reason}." for system, reason in document["skipped"].items()),
        ],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def without_markup(markdown: str) -> str:
    """Return Markdown in which HTML and links do nothing. Ours has neither, but names in files of others may."""
    return html.escape(markdown, quote=False).replace("](", "]\\(")


def _systems(document: Row, order: Sequence[str]) -> list[str]:
    systems = document["system"]
    return _table(
        ["system", "n", *RANKING, "s/case"],
        [
            [
                name,
                str(systems[name]["n"]),
                *(_with_interval(systems[name], metric) for metric in RANKING),
                f"{systems[name]['seconds'] / max(systems[name]['n'], 1):.3f}",
            ]
            for name in order
        ],
    )


def _lift(document: Row) -> list[str]:
    if "llm lift" not in document:
        return []
    rows = [
        [metric, figure(row["difference"]), _interval(row["ci"]), p_value(row["p"]), str(row["n"])]
        for metric, row in document["llm lift"].items()
    ]
    return [
        "What the language model adds (whimbrel minus whimbrel-none, paired):",
        "",
        *_table(["metric", "difference", "95%", "p", "n"], rows),
    ]


def _differences(document: Row, order: Sequence[str]) -> list[str]:
    minus = document.get("minus")
    if not minus:
        return []
    of_all, of_shifts = minus["all cases"], minus.get(SHIFTS, {})
    rows = [[name, *_tested(of_all.get(name)), *_tested(of_shifts.get(name))] for name in order if name in of_all]
    return [
        f"{minus['metric']} of {minus['of']} minus {minus['metric']} of each other system (paired, p after Holm):",
        "",
        *_table(["system", "all cases", "p", SHIFTS, "p"], rows),
    ]


def _slices(document: Row, order: Sequence[str]) -> list[str]:
    slices = document["slices"]
    if not slices:
        return []
    return [
        f"{PRIMARY} by slice:",
        "",
        *_table(
            ["system", *(f"{label} (n={row['n']})" for label, row in slices.items())],
            [[name, *(figure(row[name]["value"]) for row in slices.values())] for name in order],
        ),
    ]


def _shift(document: Row) -> list[str]:
    shift = document["shift"]
    if not shift:
        return []
    return [
        "Whether the interest shifts (no relevant item has a topic of the latest five events):",
        "",
        *_table(
            ["system", "n", "shifts", *(metric.replace("_", " ") for metric in tables.SHIFT), "ece"],
            [
                [
                    name,
                    str(row["n"]),
                    str(row["shifts"]),
                    *(_with_interval(row, metric) for metric in tables.SHIFT),
                    figure(row["ece"]),
                ]
                for name, row in shift.items()
            ],
        ),
        "",
        "Whether the predicted shift came true, for all cases and for the more confident half:",
        "",
        *_table(
            ["system", "n", "right", "right in the more confident half", "ece"],
            [
                [
                    name,
                    str(row["said"]["n"]),
                    figure(row["said"]["right"]),
                    figure(_right_of_confident(row["said"])),
                    figure(row["said"]["ece"]),
                ]
                for name, row in shift.items()
            ],
        ),
    ]


def _groups(document: Row, order: Sequence[str]) -> list[str]:
    groups = document["groups"]
    if not groups:
        return []
    return [
        f"{PRIMARY} in a group minus {PRIMARY} in all other cases:",
        "",
        *_table(
            ["system", *(f"{label} (n={document['slices'][label]['n']})" for label in groups)],
            [[name, *(_gap(row.get(name)) for row in groups.values())] for name in order],
        ),
    ]


def boundary_markdown(document: Row) -> str:
    """Return the results of `eval boundaries` as Markdown."""
    systems, cases = document["system"], document["cases"]
    lines = [f"### {cases['labelled pairs']} labelled pairs in {cases['n']} sessions", ""]
    lines += _table(
        ["system", "n", *(metric.replace("_", " ") for metric in tables.BOUNDARIES), "ece"],
        [
            [
                name,
                str(row["n"]),
                *(_with_interval(row, metric) for metric in tables.BOUNDARIES),
                figure(row["ece"]),
            ]
            for name, row in systems.items()
        ],
    )
    thresholds = ", ".join(f"{name} {figure(row['threshold'])}" for name, row in systems.items())
    lines += ["", f"{cases['switches']} pairs are switches. Intervals: 95%, bootstrap over sessions."]
    lines += [f"A pair is called a switch if its probability is at least the threshold: {thresholds}."]
    return "\n".join(lines) + "\n"


def as_csv(document: Row, metrics: Sequence[str]) -> str:
    """Return the metrics as CSV. Each line is one system and metric, with value, interval and n."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["system", "metric", "value", "low", "high", "n"])
    for name, row in document["system"].items():
        for metric in metrics:
            # The metrics in LISTS have no interval.
            low, high = row.get(f"{metric}_ci") or ("", "")
            writer.writerow([name, metric, row[metric], low, high, row["n"]])
    return out.getvalue()


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    # A "|" in the name of a system would end its cell.
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (heads, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return [lines[0], f"|{'|'.join('---' for _ in heads)}|", *lines[1:]]


def _with_interval(row: Row, metric: str) -> str:
    return f"{figure(row[metric])} {_interval(row[f'{metric}_ci'])}"


def _interval(ends: Sequence[float | None]) -> str:
    return f"[{figure(ends[0])}, {figure(ends[1])}]"


def _gap(row: Row | None) -> str:
    return f"{figure(row['difference'])} {_interval(row['ci'])}" if row else "-"


def _tested(row: Row | None) -> tuple[str, str]:
    return (_gap(row), p_value(row["p_holm"])) if row else ("-", "-")


def _right_of_confident(row: Row, share: float = 0.5) -> float | None:
    """Return how often predictions were right among the most confident `share` of the cases."""
    return next((right for answered, right, _ in row["abstention"] if answered >= share), None)
