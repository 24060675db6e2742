"""Evaluations from Python: the same figures as the commands, as a table for people and as a frame."""

import json
from pathlib import Path

import pytest

from whimbrel.evals.data.folds import Protocol
from whimbrel.evals.evaluation import Evaluation, evaluate_cases, evaluate_log


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    def item(title: str) -> dict[str, object]:
        return {"item_id": title, "title": title, "topics": [title.split()[0]]}

    lines = [
        {
            "case_id": f"c{n}",
            "history": [item("Tea green"), item("Tea black")],
            "candidates": [item(f"Tea {n}"), item("Rake"), item("Hose")],
            "relevant": [f"Tea {n}"],
        }
        for n in range(6)
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_cases_are_measured_with_n_intervals_and_baselines(cases: Path, tmp_path: Path) -> None:
    measured = evaluate_cases(cases, ["whimbrel-none", "bm25", "popularity"], out=tmp_path / "run")
    frame = measured.to_pandas().set_index(["system", "metric"])
    assert frame.loc[("bm25", "ndcg@10"), "value"] == 1.0  # the relevant item alone shares a word with the history
    assert frame.loc[("popularity", "mrr"), "value"] == pytest.approx(1 / 2)  # three tied items share rank 2
    assert set(frame["n"]) == {6}
    assert (frame["low"] <= frame["value"]).all()
    assert (frame["value"] <= frame["high"]).all()
    assert measured.to_polars().columns == ["system", "metric", "value", "low", "high", "n"]
    page = measured._repr_html_()
    assert "6 cases of 6 users" in page
    assert page.index("bm25") < page.index("popularity")  # the best system is first
    assert "<b>" not in page
    assert Evaluation.read(tmp_path / "run") == measured


def test_names_in_results_are_escaped(cases: Path) -> None:
    document = dict(evaluate_cases(cases, ["bm25"]).document) | {"skipped": {"<script>": "<img src=x>"}}
    page = Evaluation(document)._repr_html_()
    assert "<script>" not in page
    assert "<img" not in page


def test_a_small_p_value_is_text() -> None:
    row = {"n": 9, "ndcg@10": 0.5, "ndcg@10_ci": [0.4, 0.6]}
    minus = {"of": "whimbrel", "metric": "ndcg@10"}
    minus |= {"all cases": {"bm25": {"difference": 0.1, "ci": [0.05, 0.15], "p_holm": 0.0001}}}
    cases = {"n": 9, "users": 9, "without relevant items": 0}
    systems = {"whimbrel": row, "bm25": row}
    document = {"system": systems, "cases": cases, "minus": minus, "shift": {}, "skipped": {}}
    assert "p &lt;.001" in Evaluation(document)._repr_html_()


def test_a_log_is_measured_by_its_protocol(shop: Path) -> None:
    protocol = Protocol("leave-last-out", candidates="uniform", refits=1)
    measured = evaluate_log(shop, ["popularity", "itemknn"], protocol=protocol)
    assert set(measured.to_pandas()["system"]) <= {"popularity", "itemknn"}
    assert measured.document["cases"]["users"] == measured.document["cases"]["n"] > 0
