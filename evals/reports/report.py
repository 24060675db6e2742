"""Write a run as one page that needs no network, as Markdown and as CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.learning.cases import Case, Problem
from whimbrel.evals.reports import tables
from whimbrel.evals.reports.charts import abstention_curves, lift_by_slice, quality_against_time, reliability_diagrams
from whimbrel.evals.reports.markdown import as_csv, best_first, boundary_markdown, ranking_markdown, without_markup
from whimbrel.evals.reports.tables import RANKING, figure, p_value
from whimbrel.evals.runs.document import PRIMARY, document_of
from whimbrel.evals.runs.files import (
    BOUNDARIES,
    MANIFEST,
    RESULTS,
    OutcomeLine,
    RankingLine,
    read_answers,
    read_document,
    read_skipped,
)
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.results import Results, results_of
from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import ConfigError, DataError

WORST_CASES, TITLES = 20, 6
"""The page shows WORST_CASES cases. Each list of a case shows at most TITLES titles."""
LISTS = ("novelty@10", "diversity@10", "coverage@10", "popularity_bias@10", "miscalibration@10")
IN_CSV = (*RANKING, "map", "hr@10", "recall@10", "precision@10", *LISTS)

Parts = Sequence[tuple[Plan, Path]]


@dataclass(frozen=True)
class Written:
    """The files of a report."""

    html: Path
    markdown: Path
    csv: Path


def write_report(folder: Path) -> Written:
    """Write a report of all rankings that a run folder holds so far. Its files go into the same folder.

    Raises:
        ConfigError: the folder holds no run, or the files cannot be written.
        DataError: the cases of the run have moved or changed.
    """
    written = Written(folder / "report.html", folder / "report.md", folder / "report.csv")
    if (folder / BOUNDARIES).is_file():
        _write(written, *_boundary_report(folder / RESULTS))
        return written
    parts = parts_of(folder)
    problems = [line for plan, _ in parts for line in plan.read() if isinstance(line, Problem)]
    skipped = {name: reason for _, part_folder in parts for name, reason in read_skipped(part_folder).items()}
    results = results_of(parts)
    document = document_of(results, skipped=skipped, problems=problems)
    cases = parts[0][0].cases
    # With several folds there are several files of cases, so the run is called after its folder.
    name = f"{cases.parent.name}/{cases.name}" if len(parts) == 1 else folder.name
    page = _ranking_page(name, parts, results, document)
    _write(written, page, ranking_markdown(document, name), as_csv(document, IN_CSV))
    return written


def _boundary_report(path: Path) -> tuple[str, str, str]:
    """Return the page, the Markdown and the CSV of the results of `eval boundaries`.

    Raises:
        DataError: the file is absent or damaged.
    """
    from jinja2 import TemplateError

    document = read_document(path)
    try:
        return _boundary_page(document), boundary_markdown(document), as_csv(document, tables.BOUNDARIES)
    # The file is our own, so what else it may hold needs no better words.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise DataError(f"{str(path)!r} is damaged ({error}): run it again") from error


def _write(written: Written, page: str, markdown: str, csv: str) -> None:
    try:
        written.html.write_text(page, encoding="utf-8")
        written.markdown.write_text(without_markup(markdown), encoding="utf-8")
        written.csv.write_text(csv, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the report cannot be written: {error}") from error


def _template() -> Any:
    from jinja2 import Environment

    # Titles and ids come from untrusted files, so all of them are escaped.
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"figure": figure, "p_value": p_value}
    return environment.from_string(resources.files(__package__).joinpath("report.html").read_text("utf-8"))


def _boundary_page(document: Mapping[str, Any]) -> str:
    systems = document["system"]
    page: str = _template().render(
        name="Boundaries of intent",
        document=document,
        boundaries=tables.BOUNDARIES,
        systems=systems,
        order=list(systems),
        diagrams_of_systems=reliability_diagrams(systems),
    )
    return page


def _ranking_page(name: str, parts: Parts, results: Results, document: Mapping[str, Any]) -> str:
    systems, shift = document["system"], document["shift"]
    order = best_first(systems)
    reference = next(name for name in ("whimbrel", "whimbrel-none", *order) if name in systems)
    page: str = _template().render(
        name=name,
        document=document,
        systems=systems,
        order=order,
        metrics=RANKING,
        best={metric: max(systems[system][metric] or 0 for system in systems) for metric in RANKING},
        lists=LISTS,
        primary=PRIMARY,
        differences=document.get("minus", {}).get("all cases", {}),
        lift=lift_by_slice(results),
        plot=quality_against_time(systems),
        decisions=tables.SHIFT,
        diagrams_of_moves=reliability_diagrams(shift),
        diagrams_of_shifts=reliability_diagrams(
            {system: row["said"] for system, row in shift.items() if row["said"]["n"]}
        ),
        abstentions=abstention_curves(shift),
        worst=_worst_cases(parts, results, reference),
        reference=reference,
        manifest=_manifest(parts[0][1]),
    )
    return page


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = read_document(folder / MANIFEST)
    if not isinstance(manifest.get("settings"), dict):
        raise DataError(f"{str(folder / MANIFEST)!r} names no settings: run it again")
    return manifest


def _worst_cases(parts: Parts, results: Results, system: str) -> list[dict[str, Any]]:
    """Return the cases in which a system ranked the first relevant item lowest."""
    values = results.systems[system].column("mrr")
    known = np.flatnonzero(~np.isnan(values))
    lowest = known[np.argsort(values[known], kind="stable")][:WORST_CASES]
    mrr = {results.case_ids[row]: float(values[row]) for row in lowest}
    # Both files are read line by line, and only the lines of the worst cases are kept.
    lines: dict[str, tuple[RankingLine, OutcomeLine]] = {}
    for _, folder in parts:
        for line, outcome in read_answers(folder):
            if line.system == system and line.case_id in mrr:
                lines[line.case_id] = line, outcome
    shown = [
        _case_row(case, *lines[case.blind.case_id])
        for plan, _ in parts
        for case in plan.read()
        if isinstance(case, Case) and case.blind.case_id in lines
    ]
    return sorted(shown, key=lambda row: (mrr[row["case_id"]], row["case_id"]))


def _case_row(case: Case, line: RankingLine, outcome: OutcomeLine) -> dict[str, Any]:
    """Return what the page shows of a case: what the system saw, its first items, and the relevant items' ranks."""
    titles = {item.item_id: item.title for item in case.blind.candidates}
    ranking = line.ranking
    return {
        "case_id": case.blind.case_id,
        "name": clean_text(case.blind.case_id),
        "context": clean_text(", ".join(f"{key}={value}" for key, value in case.blind.context.items())),
        "history": [item.title for item in case.blind.history[-TITLES:]],
        "first": [titles[item_id] for item_id in ranking[:TITLES]],
        "relevant": [
            {
                "title": titles.get(item_id, clean_text(item_id)),
                "rank": ranking.index(item_id) + 1 if item_id in ranking else None,
            }
            for item_id in case.relevant
        ],
        "candidates": len(titles),
        "warnings": line.warnings,
        "shift": outcome.shift,
        "reason": outcome.said,
    }
