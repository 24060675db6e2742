"""Our figures beside those of RecTools."""

import random
import sys
from pathlib import Path

import pytest

from whimbrel.evals.data.folds import Protocol, write_folds
from whimbrel.evals.data.logs import read_log
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.results import results_of
from whimbrel.evals.runs.run import run
from whimbrel.evals.studies.agreement import TOLERANCE, agreement_lines, listed_figures, measure_agreement
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.formats import open_source


def run_of_a_log(folder: Path) -> Path:
    """Rank a log of forty people in two folds."""
    draw, lines = random.Random(0), ["user_id,title,time"]
    for user in range(40):
        for n, thing in enumerate(draw.sample(range(30), 12)):
            lines.append(f"u{user},Thing {thing},{10**9 + n * 1000 + user}")
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    for fold in write_folds(read_log(open_source(str(folder / "a.csv"))), Protocol(refits=2), folder / "out"):
        plan = Plan(fold.cases, ("itemknn", "als", "popularity"), sessions=fold.sessions, items=fold.items)
        run(plan, fold.cases.parent)
    return folder / "out"


def test_our_figures_are_those_of_rectools(tmp_path: Path) -> None:
    pytest.importorskip("rectools", reason="RecTools is not installed: make sasrec")
    document = measure_agreement(run_of_a_log(tmp_path))
    assert document["system"].keys() == {"itemknn", "als", "popularity"}
    assert document["largest difference as listed"] < TOLERANCE
    assert "largest difference as listed" in agreement_lines(document)[-1]


def test_without_rectools_it_is_said_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rectools.metrics", None)
    with pytest.raises(ConfigError, match="make sasrec"):
        measure_agreement(run_of_a_log(tmp_path))


def test_without_ties_ranks_as_listed_give_the_reported_figures(tmp_path: Path) -> None:
    out = run_of_a_log(tmp_path)
    parts = parts_of(out)
    listed, results = listed_figures(parts, "als"), results_of(parts)
    for metric in ("ndcg@10", "hr@10", "recall@10"):
        assert listed[metric] == pytest.approx(results.interval("als", metric).value), metric
