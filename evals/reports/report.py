"""A run as one page that needs no network, as Markdown and as CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.learning.cases import Case, Problem
from whimbrel.evals.reports import tables
from whimbrel.evals.reports.tables import RANKING, chance, figure
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.results import PRIMARY, SHIFTS, Results, document_of, results_of
from whimbrel.evals.runs.run import MANIFEST, OUTCOMES, RANKINGS, read_lines, read_skipped
from whimbrel.evals.studies.boundaries import BOUNDARIES
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import clean_text

WORST, SHOWN = 20, 6
"""Worst cases that are shown, and titles of each list in one."""
Parts = Sequence[tuple[Plan, Path]]
EVERY = (*RANKING, "map", "hr@10", "recall@10", "precision@10")
LISTS = ("novelty@10", "diversity@10", "coverage@10", "popularity_bias@10", "miscalibration@10")


@dataclass(frozen=True)
class Written:
    """Where a report lies."""

    html: Path
    markdown: Path
    csv: Path


def write_report(folder: Path) -> Written:
    """Report what a run folder holds so far.

    Raises:
        ConfigError: no run there, or nothing can be written.
        DataError: its cases are no longer where they were, or are others.
    """
    written = Written(folder / "report.html", folder / "report.md", folder / "report.csv")
    if (folder / BOUNDARIES).is_file():
        document = json.loads((folder / "results.json").read_text())
        _write(written, _boundary_page(document), boundary_markdown(document), as_csv(document, tables.BOUNDARIES))
        return written
    parts = parts_of(folder)
    problems = [read for plan, _ in parts for read in plan.read() if isinstance(read, Problem)]
    skipped = {name: reason for _, place in parts for name, reason in read_skipped(place).items()}
    results = results_of(parts)
    document = document_of(results, skipped=skipped, problems=problems)
    cases = parts[0][0].cases
    name = f"{cases.parent.name}/{cases.name}" if len(parts) == 1 else folder.name
    page = _page(name, parts, results, document)
    _write(written, page, markdown(document, name), as_csv(document, (*EVERY, *LISTS)))
    return written


def _write(written: Written, page: str, text: str, table: str) -> None:
    try:
        written.html.write_text(page, encoding="utf-8")
        written.markdown.write_text(text, encoding="utf-8")
        written.csv.write_text(table, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the report cannot be written: {error}") from error


def markdown(document: Mapping[str, Any], name: str) -> str:
    """The tables in Markdown."""
    systems, cases = document["system"], document["cases"]
    order = _order(systems)
    lines = [f"### {name}: {cases['n']} cases of {cases['users']} users", ""]
    lines += _markdown_table(
        ["system", "n", *RANKING, "s/case"],
        [
            [
                s,
                str(systems[s]["n"]),
                *(_with_interval(systems[s], metric) for metric in RANKING),
                _per_case(systems[s]),
            ]
            for s in order
        ],
    )
    if "llm lift" in document:
        lift = document["llm lift"]
        lines += ["", "LLM lift (whimbrel minus whimbrel-none, paired):", ""]
        lines += _markdown_table(
            ["metric", "difference", "95%", "p", "n"],
            [[m, figure(d["difference"]), _range(d["ci"]), chance(d["p"]), str(d["n"])] for m, d in lift.items()],
        )
    if minus := document.get("minus"):
        whole, shifts = minus["all cases"], minus.get(SHIFTS, {})
        lines += ["", f"{minus['metric']} of {minus['of']} minus that of the others (paired; p after Holm):", ""]
        lines += _markdown_table(
            ["system", "all cases", "p", SHIFTS, "p"],
            [[s, *_tested(whole.get(s)), *_tested(shifts.get(s))] for s in order if s in whole],
        )
    if document["slices"]:
        labels = list(document["slices"])
        lines += ["", f"{PRIMARY} by slice:", ""]
        lines += _markdown_table(
            ["system", *(f"{label} (n={document['slices'][label]['n']})" for label in labels)],
            [[s, *(figure(document["slices"][label][s]["value"]) for label in labels)] for s in order],
        )
    if document["shift"]:
        lines += ["", "Whether the interest shifts (the wanted topics are absent from the recent window):", ""]
        lines += _markdown_table(
            ["system", "n", "shifts", *(metric.replace("_", " ") for metric in tables.SHIFT), "ece"],
            [
                [s, str(d["n"]), str(d["shifts"]), *(_with_interval(d, m) for m in tables.SHIFT), figure(d["ece"])]
                for s, d in document["shift"].items()
            ],
        )
        lines += [
            "",
            "Whether what was said of the interest came true, of all cases and of the half that was surest:",
            "",
        ]
        lines += _markdown_table(
            ["system", "n", "right", "of the surest half", "ece"],
            [
                [
                    s,
                    str(d["said"]["n"]),
                    figure(d["said"]["right"]),
                    figure(_surest(d["said"])),
                    figure(d["said"]["ece"]),
                ]
                for s, d in document["shift"].items()
            ],
        )
    if document["groups"]:
        lines += ["", f"{PRIMARY} of a group less that of all others:", ""]
        lines += _markdown_table(
            ["system", *(f"{label} (n={document['slices'][label]['n']})" for label in document["groups"])],
            [[s, *(_gap(found.get(s)) for found in document["groups"].values())] for s in order],
        )
    lines += [
        "",
        "Intervals: 95%, paired bootstrap over users. Items of equal score take their mean rank; NDCG's ideal list "
        f"holds min(k, relevant) items; {cases['without relevant items']} cases without relevant items are in no figure"
        ".",
    ]
    lines += [f"Left out: {system}: {reason}." for system, reason in document["skipped"].items()]
    return "\n".join(lines) + "\n"


def boundary_markdown(document: Mapping[str, Any]) -> str:
    """The table of boundaries in Markdown."""
    systems, cases = document["system"], document["cases"]
    lines = [f"### {cases['labelled pairs']} labelled pairs in {cases['n']} sessions", ""]
    lines += _markdown_table(
        ["system", "n", *(metric.replace("_", " ") for metric in tables.BOUNDARIES), "ece"],
        [
            [s, str(found["n"]), *(_with_interval(found, m) for m in tables.BOUNDARIES), figure(found["ece"])]
            for s, found in systems.items()
        ],
    )
    lines += ["", f"{cases['switches']} pairs are switches. Intervals: 95%, bootstrap over sessions."]
    lines += ["Yes is said from a probability of .5, by whimbrel from .3."]
    return "\n".join(lines) + "\n"


def as_csv(document: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """A line a system and metric: value, interval, n."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["system", "metric", "value", "low", "high", "n"])
    for name, found in document["system"].items():
        for metric in metrics:
            low, high = found.get(f"{metric}_ci") or ("", "")
            writer.writerow([name, metric, found[metric], low, high, found["n"]])
    return out.getvalue()


def _template() -> Any:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure
    return environment.from_string(resources.files(__package__).joinpath("report.html").read_text("utf-8"))


def _boundary_page(document: Mapping[str, Any]) -> str:
    """Systems by metric, and how well their probabilities are calibrated."""
    systems = document["system"]
    page: str = _template().render(
        name="Boundaries of intent",
        document=document,
        boundaries=tables.BOUNDARIES,
        systems=systems,
        order=list(systems),
        curves=_curves(systems),
    )
    return page


def _surest(said: Mapping[str, Any], share: float = 0.5) -> float | None:
    """Share that was right among the surest cases."""
    return next((right for answered, right, _ in said["abstention"] if answered >= share), None)


def _abstentions(shift: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How much of what is said comes true the more a system abstains, as lines in boxes of 160 by 160."""
    return [
        {
            "name": name,
            "line": " ".join(
                f"{20 + 120 * share:.1f},{140 - 120 * right:.1f}" for share, right, _ in found["said"]["abstention"]
            ),
            "right": found["said"]["right"],
        }
        for name, found in shift.items()
        if found["said"]["abstention"]
    ]


def _curves(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Reliability diagrams in boxes of 160 by 160; the larger a point, the more decisions it holds."""
    return [
        {
            "name": name,
            "points": [
                {"x": 20 + 120 * said, "y": 140 - 120 * came, "r": 1.5 + 5 * (count / found["n"]) ** 0.5}
                for said, came, count in found["reliability"]
            ],
            "ece": found["ece"],
        }
        for name, found in measured.items()
    ]


def _page(name: str, parts: Parts, results: Results, document: Mapping[str, Any]) -> str:
    systems = document["system"]
    reference = next(name for name in ("whimbrel", "whimbrel-none", *_order(systems)) if name in systems)
    page: str = _template().render(
        name=name,
        document=document,
        systems=systems,
        order=_order(systems),
        metrics=RANKING,
        lists=LISTS,
        primary=PRIMARY,
        against=document.get("minus", {}).get("all cases", {}),
        lift=_lift_by_slice(results),
        plot=_plot(systems),
        curves=_curves(document["shift"]),
        said=_curves({name: found["said"] for name, found in document["shift"].items() if found["said"]["n"]}),
        abstentions=_abstentions(document["shift"]),
        decisions=tables.SHIFT,
        worst=_worst(parts, results, reference),
        reference=reference,
        manifest=json.loads((parts[0][1] / MANIFEST).read_text()),
        best={metric: max(systems[s][metric] or 0 for s in systems) for metric in RANKING},
    )
    return page


def _lift_by_slice(results: Results) -> list[dict[str, Any]]:
    if not {"whimbrel", "whimbrel-none"} <= results.systems.keys():
        return []
    whole = {"label": "all cases", **results.difference("whimbrel", "whimbrel-none", PRIMARY)}
    parts = [
        {"label": label, **results.difference("whimbrel", "whimbrel-none", PRIMARY, within)}
        for label, within in results.slices.items()
    ]
    rows = [row for row in (whole, *parts) if row["n"] and not math.isnan(row["ci"][0])]
    widest = max((abs(end) for row in rows for end in row["ci"]), default=1) or 1
    for row in rows:
        row["at"], row["from"], row["to"] = (
            50 + 48 * value / widest for value in (row["difference"], row["ci"][0], row["ci"][1])
        )
    return rows


def _plot(systems: Mapping[str, Any]) -> dict[str, Any]:
    """Points of the primary metric against seconds a case (logarithmic), in a box of 640 by 320."""
    points = [
        (name, max(found["seconds"] / max(found["n"], 1), 1e-5), found[PRIMARY], found[f"{PRIMARY}_ci"])
        for name, found in systems.items()
        if found[PRIMARY] is not None and found["n"]
    ]
    if not points:
        return {"points": [], "unnamed": [], "x": [], "y": []}
    low = math.floor(math.log10(min(seconds for _, seconds, _, _ in points)))
    high = max(math.ceil(math.log10(max(seconds for _, seconds, _, _ in points))), low + 1)
    highest = max(ci[1] for *_, ci in points)
    step = next(step for step in (0.025, 0.05, 0.1, 0.2, 0.25) if 4 * step >= highest or step == 0.25)
    top = step * max(math.ceil(highest / step), 1)

    def x(seconds: float) -> float:
        return float(50 + 560 * (math.log10(seconds) - low) / (high - low))

    def y(value: float) -> float:
        return float(280 - 260 * value / top)

    drawn: list[dict[str, Any]] = []
    for name, seconds, value, ci in sorted(points, key=lambda point: (not point[0].startswith("whimbrel"), -point[2])):
        at = x(seconds)
        free = (
            y(value) + 4 + moved
            for moved in (0, -11, 11, -22, 22)
            if not any(
                other["label"] and abs(y(value) + 4 + moved - other["label"]) < 11 and abs(at - other["x"]) < 105
                for other in drawn
            )
        )
        drawn.append(
            {
                "name": name,
                "x": at,
                "y": y(value),
                "label": next(free, None),
                "left": at > 500,
                "low": y(ci[0]),
                "high": y(ci[1]),
                "ours": name.startswith("whimbrel"),
            }
        )
    return {
        "points": drawn,
        "unnamed": [
            f"{point['name']} ({figure(systems[point['name']][PRIMARY])})" for point in drawn if not point["label"]
        ],
        "x": [{"at": x(10**power), "label": _seconds(10.0**power)} for power in range(low, high + 1)],
        "y": [{"at": y(step * n), "label": f"{step * n:.3g}"} for n in range(round(top / step) + 1)],
    }


def _worst(parts: Parts, results: Results, system: str) -> list[dict[str, Any]]:
    """Cases in which a system did worst: what it saw, what it ranked first, what was wanted and where that stood."""
    values = results.systems[system].column("mrr")
    known = np.flatnonzero(~np.isnan(values))
    chosen = {results.case_ids[n]: float(values[n]) for n in known[np.argsort(values[known], kind="stable")][:WORST]}
    lines: dict[str, dict[str, Any]] = {}
    for _, folder in parts:
        for name in (RANKINGS, OUTCOMES):
            for line in read_lines(folder / name):
                if line["system"] == system and line["case_id"] in chosen:
                    lines[line["case_id"]] = lines.get(line["case_id"], {}) | line
    shown = [
        _shown(read, lines[read.blind.case_id])
        for plan, _ in parts
        for read in plan.read()
        if isinstance(read, Case) and read.blind.case_id in lines
    ]
    return sorted(shown, key=lambda entry: (chosen[entry["case_id"]], entry["case_id"]))


def _shown(case: Case, line: Mapping[str, Any]) -> dict[str, Any]:
    titles = {item.item_id: item.title for item in case.blind.candidates}
    ranking = line["ranking"]
    return {
        "case_id": case.blind.case_id,
        "name": clean_text(case.blind.case_id),
        "context": clean_text(", ".join(f"{key}={value}" for key, value in case.blind.context.items())),
        "history": [item.title for item in case.blind.history[-SHOWN:]],
        "first": [titles[item_id] for item_id in ranking[:SHOWN]],
        "wanted": [
            {"title": titles.get(id_, clean_text(id_)), "rank": ranking.index(id_) + 1 if id_ in ranking else None}
            for id_ in case.relevant
        ],
        "of": len(titles),
        "warnings": line["warnings"],
        "shift": line.get("shift"),
        "said": line.get("said", ""),
    }


def _order(systems: Mapping[str, Any]) -> list[str]:
    """The best first."""
    return sorted(systems, key=lambda name: -(systems[name][PRIMARY] or 0))


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return [lines[0], f"|{'|'.join('---' for _ in head)}|", *lines[1:]]


def _with_interval(found: Mapping[str, Any], metric: str) -> str:
    return f"{figure(found[metric])} {_range(found[f'{metric}_ci'])}"


def _gap(found: Mapping[str, Any] | None) -> str:
    return f"{figure(found['difference'])} {_range(found['ci'])}" if found else "-"


def _tested(found: Mapping[str, Any] | None) -> tuple[str, str]:
    return (_gap(found), chance(found["p_holm"])) if found else ("-", "-")


def _range(ci: Sequence[float | None]) -> str:
    return f"[{figure(ci[0])}, {figure(ci[1])}]"


def _per_case(found: Mapping[str, Any]) -> str:
    return f"{found['seconds'] / max(found['n'], 1):.3f}"


def _seconds(value: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
