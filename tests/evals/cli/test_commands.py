"""`whimbrel eval` from the command line: documents as in the contract, and a report that stands alone."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.agent.cli.main import main
from whimbrel.agent.profile.segment import switch_probabilities
from whimbrel.evals.reports.markdown import without_markup
from whimbrel.evals.studies import asked_choices
from whimbrel.tools.records import Item

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["whimbrel", "eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        return (int(ended.value.code or 0), *capsys.readouterr())

    return run


def item(title: str, **more: Any) -> dict[str, Any]:
    return {"item_id": title, "title": title, "topics": [title.split()[0]], **more}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    lines = [
        {
            "case_id": f"c{n}",
            "history": [item("Tea <b>green</b>"), item("Tea black")],
            "candidates": [item(f"Tea {n}", time=10.0 * n), item("Rake", time=5.0), item("<script>alert(1)</script>")],
            "relevant": [f"Tea {n}"],
        }
        for n in range(1, 9)
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{broken\n")
    return path


def test_rank_gives_one_document_and_a_report_that_stands_alone(run: Run, cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    systems = "whimbrel,whimbrel-none,bm25,newest,similarity"
    status, out_text, errors = run("rank", cases, "--system", systems, "--llm", "none", "--out", out, "--json")
    assert status == 0
    document = json.loads(out_text)
    assert "line 9: not JSON" in errors
    for name in systems.split(","):
        row = document["system"][name]
        assert row["n"] == 8
        assert {"auc", "mrr", "ndcg@5", "ndcg@10", "hr@1", "hr@5"} <= row.keys()
        assert row["ndcg@10_ci"][0] <= row["ndcg@10"] <= row["ndcg@10_ci"][1]
    assert document["system"]["similarity"]["hr@1"] == 1
    assert document["llm lift"]["mrr"]["difference"] == 0
    assert run("report", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href)=|https?://", page)
    assert "similarity" in (out / "report.md").read_text()
    assert without_markup("| <img src=x> [a](javascript:b) |") == "| &lt;img src=x&gt; [a]\\(javascript:b) |"
    assert (out / "report.csv").read_text().startswith("system,metric,value,low,high,n")
    status, out_text, _ = run("rank", cases, "--system", systems, "--llm", "none", "--out", out)
    assert status == 0
    assert "What the language model adds" in out_text


def test_boundaries_give_one_document(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    session = [item("Tea green"), item("Tea black"), item("Garden rake"), item("Garden hose")]
    lines = [{"case_id": f"b{n}", "items": session, "switch": [False, True, None]} for n in range(5)]
    lines += [
        {"case_id": "x", "items": session, "switch": [True]},
        {"case_id": "y", "items": session[:1], "switch": []},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    status, out_text, errors = run("boundaries", path, "--json", "--out", tmp_path / "out")
    assert status == 0
    document = json.loads(out_text)
    assert "line 6 (case 'x'): switch has 1 entries for 4 items, expected 3" in errors
    assert "line 7 (case 'y'): fewer than two items" in errors
    for name in ("whimbrel", "always", "similarity", "topic-change"):
        assert {"n", "precision", "recall", "f1", "average_precision", "brier"} <= document["system"][name].keys()
        assert document["system"][name]["n"] == 10
    assert document["system"]["always"]["precision"] == 0.5
    assert document["system"]["topic-change"]["f1"] == 1
    assert document["system"]["whimbrel"]["average_precision"] == 1
    assert run("report", tmp_path / "out")[0] == 0
    assert "Predicted probability and observed share" in (tmp_path / "out" / "report.html").read_text()
    assert run("boundaries", path, "--system", "nonesuch")[0] == 1


def test_segments_are_probabilities() -> None:
    items = [Item(item_id=str(n), title=title) for n, title in enumerate(["Green tea", "Black tea", "Garden hose"])]
    probability = switch_probabilities(items)
    assert probability.shape == (2,)
    assert np.all((probability > 0) & (probability < 1))
    assert probability[1] > probability[0]


def test_a_log_gives_one_document(run: Run, shop_csv: Path, tmp_path: Path) -> None:
    options = ["--path", shop_csv, "--system", "popularity,newest,itemknn", "--refits", 2, "--out", tmp_path / "out"]
    status, out_text, _ = run("log", *options, "--json")
    assert status == 0
    document = json.loads(out_text)
    assert document["cases"]["n"] == 12
    assert document["system"].keys() == {"popularity", "newest", "itemknn"}
    assert run("report", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rank", "/no/file.jsonl"], "cannot be read"),
        (["report", "/no/folder"], "holds no run"),
        (["log"], "give the log with --path"),
        (["log", "--path", "/no/file.csv"], "/no/file.csv"),
        (["agreement", "/no/folder"], "holds no run"),
        (["cost", "--store", "/no/store", "--llm", "none"], "not a local model"),
        (["cross-domain", "/no/file.jsonl", "/no/other.jsonl"], "cannot be read"),
        (["defaults", "topics", "shop=/no/file.csv", "--out", "/no/out.json"], "/no/file.csv"),
        (["defaults", "fusion", "a/b=/no/file.csv", "--out", "/no/out.json"], "without slashes"),
        (["explanations", "/no/store", "--llm", "none", "--out", "/no/out.jsonl"], "/no/store"),
        (["lift", "shop=/no/file.csv", "--llm", "none"], "give two logs or more"),
        (["scale", "10"], "give ITEMS:EVENTS"),
        (["validity", "/no/file.csv", "--store", "/no/store"], "/no/file.csv"),
    ],
)
def test_errors_are_one_line(arguments: list[str], words: str, run: Run) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert words in err.splitlines()[-1]


def test_planted_shifts_give_one_document_and_a_table(run: Run) -> None:
    status, out, _ = run("planted", "--logs", 1, "--json")
    assert status == 0
    document = json.loads(out)
    assert document["weekend"]["kind"] == "temporal"
    assert all(row["right"] == row["named"].get(row["kind"], 0) for row in document.values())
    status, out, _ = run("planted", "--logs", 1)
    assert status == 0
    assert f"| weekend | temporal | 1 | {document['weekend']['right']:.3f} [" in out


def test_a_model_reads_the_planted_people(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read = {"now": "n", "interests": [], "phrases": ["a rope"], "unwanted": []}
    sure = {"kind": "temporal", "from": [], "to": ["Climbing"], "probability": 0.9, "events": [1], "why": "They climb."}
    model = ScriptedModel({"ReadReply": {**read, "shift": sure}}, tier="reads")
    monkeypatch.setattr(asked_choices, "open_model", lambda spec, **options: model if spec == "scripted" else None)
    _, plain, _ = run("planted", "--logs", 2, "--json")
    _, fused, _ = run("planted", "--logs", 2, "--json", "--llm", "scripted")
    before, after = (json.loads(out)["trend"]["squared_error"] for out in (plain, fused))
    assert before != after


def test_a_model_that_does_not_read_is_no_help_with_planted_people(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked_choices, "open_model", lambda spec, **options: ScriptedModel())
    status, _, errors = run("planted", "--logs", 1, "--llm", "scripted")
    assert status == 1
    assert "does not read people well enough" in errors


@pytest.fixture
def moving(tmp_path: Path) -> Path:
    """A log of 30 people who have taken up climbing in the last eight of twenty days."""
    lines = ["user_id,title,topics,time"]
    for user in range(30):
        for day in range(20):
            for step in range(3):
                topic = "Climbing" if day >= 12 else ("Tea", "Bread", "Cups", "Rugs")[(user + day + step) % 4]
                title = f"{topic} {(user * 7 + day * 3 + step) % 25}"
                lines.append(f"u{user},{title},{topic},{1_600_000_000 + day * 86_400 + 600 * step + user}")
    path = tmp_path / "hikers.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_lists_are_compared_with_the_shifts_that_they_announce(run: Run, moving: Path) -> None:
    status, out, _ = run("headlines", f"hikers={moving}", "--people", 30, "--k", 3, "--json")
    row = json.loads(out)["hikers"]
    assert (status, row["people"]) == (0, 30)
    assert 0 < row["headlines"] <= 30
    assert row["share_of_list"]["value"] > row["share_of_events"]["value"]
    status, out, _ = run("headlines", f"hikers={moving}", "--people", 1)
    assert status == 0
    assert "| hikers | 1 |" in out


def test_a_synthetic_shop_is_timed(run: Run) -> None:
    status, out, _ = run("scale", "60:200", "--json")
    assert status == 0
    (row,) = json.loads(out)["sizes"]
    assert row["items"] == 60
    assert 0 < row["events"] <= 200  # an event is dropped if its topic has no item
    assert row["ms"]["in all"]["p50"] <= row["ms"]["in all"]["p95"]


def test_recommendations_are_checked_against_their_source(run: Run, shop: Path, shop_csv: Path) -> None:
    arguments = ["validity", shop_csv, "--store", shop, "--users", 2, "--llm", "none", "--k", 2]
    status, out, _ = run(*arguments, "--json")
    document = json.loads(out)
    assert (status, document["users"], document["valid"], document["problems"]) == (0, 2, 2, {})
    assert document["cited"] > 0


def test_an_answer_that_is_wrong_is_named(run: Run, shop: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("user_id,title,time\nu1,Green tea,1600000000\nu1,Rake,1600000100\nu1,Rose seeds,1600000200\n")
    status, out, errors = run("validity", other, "--store", shop, "--users", 1, "--llm", "none", "--k", 2)
    assert status == 1
    assert "met before" in errors
    assert re.search(r"valid +0", out)


def test_weights_are_learned_from_logs(run: Run, tmp_path: Path, shop_csv: Path) -> None:
    out = tmp_path / "topics.json"
    status, printed, _ = run("defaults", "topics", f"shop={shop_csv}", "--out", out, "--json")
    assert status == 0
    assert json.loads(printed) == json.loads(out.read_text())
    assert json.loads(printed)["learned_from"] == "shop"
