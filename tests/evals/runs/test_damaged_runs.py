"""A run folder that was damaged, or whose cases changed, is refused in words."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from whimbrel.evals.reports.report import write_report
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.run import run
from whimbrel.tools.errors import ConfigError, DataError, WhimbrelError

NO_INTERVAL = dict.fromkeys(("precision", "recall", "f1", "average_precision", "brier", "ece", "threshold"), 0.5)
NO_INTERVAL |= {"n": 1, "reliability": [], "recall_ci": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    items = [{"item_id": f"i{number}", "title": f"Tea {number}"} for number in range(4)]
    lines = [{"case_id": f"c{n}", "history": items[:1], "candidates": items[1:], "relevant": ["i2"]} for n in range(3)]
    cases = tmp_path / "cases.jsonl"
    cases.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run(Plan(cases, ("popularity", "bm25")), tmp_path / "run")
    return tmp_path / "run"


def change(path: Path, **values: Any) -> None:
    """Change keys of the first document of a file."""
    first, newline, rest = path.read_text().partition("\n") if path.suffix == ".jsonl" else (path.read_text(), "", "")
    path.write_text(json.dumps(json.loads(first) | values) + newline + rest)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rankings.jsonl", {"warnings": None}),
        ("rankings.jsonl", {"ranking": [1]}),
        ("rankings.jsonl", {"ranking": ["gone"]}),
        ("rankings.jsonl", {"case_id": "c2"}),
        ("outcomes.jsonl", {"llm_calls": float("inf")}),
        ("outcomes.jsonl", {"seconds": 10**400}),
        ("outcomes.jsonl", {"ties": [[0]]}),
        ("outcomes.jsonl", {"shift": {"kind": "none"}}),
        ("outcomes.jsonl", {"system": "another"}),
        ("manifest.json", {"settings": None}),
        ("plan.json", {"systems": 3}),
        ("plan.json", {"settings": {"seed": -1}}),
        ("plan.json", {"settings": {"seed": "x"}}),
        ("plan.json", {"limit": 0}),
        ("plan.json", {"part": {"number": 0, "of": 0, "seed": 0}}),
        ("plan.json", {"cases": "a\0b"}),
    ],
)
def test_a_damaged_run_is_refused(folder: Path, name: str, values: dict[str, Any]) -> None:
    write_report(folder)
    change(folder / name, **values)
    with pytest.raises(WhimbrelError):
        write_report(folder)


@pytest.mark.parametrize("name", ["rankings.jsonl", "outcomes.jsonl", "manifest.json", "plan.json"])
@pytest.mark.parametrize("content", ["[1]\n", "[" * 5000 + "\n", "\udcff\n", ""])
def test_a_file_that_holds_something_else_is_refused(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content, errors="surrogateescape")
    with pytest.raises(WhimbrelError):
        write_report(folder)


def test_a_run_whose_cases_are_gone_ends(folder: Path) -> None:
    (folder.parent / "cases.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="no case 'c0'"):
        write_report(folder)


def test_a_damaged_manifest_is_no_run_of_this_plan(folder: Path) -> None:
    plan = Plan.of(folder)
    (folder / "manifest.json").write_text("[1]")
    with pytest.raises(ConfigError, match="cannot be used"):
        run(plan, folder)


@pytest.mark.parametrize("row", [{}, {"n": 1, "f1": None}, {"n": 1, "reliability": 3, "ece": 0.1}, NO_INTERVAL, None])
def test_damaged_results_of_boundaries_are_refused(tmp_path: Path, row: object) -> None:
    (tmp_path / "boundaries.jsonl").write_text("")
    (tmp_path / "results.json").write_text(json.dumps({"system": {"x": row}}))
    with pytest.raises(DataError, match=r"results\.json"):
        write_report(tmp_path)


def test_a_copy_of_a_fold_beside_the_folds_is_left_out(folder: Path) -> None:
    for name in ("fold-1", "fold-2", "fold-2-before"):
        shutil.copytree(folder, folder.parent / "all" / name)
    assert [path.name for _, path in parts_of(folder.parent / "all")] == ["fold-1", "fold-2"]
