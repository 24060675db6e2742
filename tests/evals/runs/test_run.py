"""Runs over cases are repeatable and resumable, and their results follow from the files."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent.learning.cases import BlindCase, Case, read_cases
from whimbrel.evals.runs.document import document_of
from whimbrel.evals.runs.files import OUTCOMES, RANKINGS
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.results import results_of
from whimbrel.evals.runs.run import Limits, run
from whimbrel.evals.systems.protocol import Settings
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.workers import Workers

CHEAP = ("popularity", "bm25", "itemknn", "sessionknn", "inverse-popularity")
WORDS = ["tea", "bread", "rake", "hose", "pot", "rose", "table", "chair", "lamp", "film"]


def item(number: int) -> dict[str, Any]:
    name = f"{WORDS[number % 10]} {WORDS[number // 10 % 10]} {number}"
    return {"item_id": f"i{number}", "title": name, "topics": [WORDS[number % 10]], "price": None, "colour": "red"}


def case(number: int, **changes: Any) -> dict[str, Any]:
    draw = random.Random(number)
    picked = draw.sample(range(100), 14)
    return {
        "case_id": f"c{number}",
        "user_id": f"u{number // 2}",
        "history": [item(n) for n in picked[:6]],
        "context": {},
        "candidates": [item(n) for n in picked[6:]],
        "relevant": [f"i{picked[6 + number % 8]}"],
    } | changes


def write(path: Path, cases: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in cases))
    return path


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write(tmp_path / "cases.jsonl", [case(n) for n in range(30)])


def test_wrong_lines_and_cases_without_relevant_items_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", [case(0), "{not json", case(7, relevant=[])])
    plan = Plan(path, ("bm25",))
    finished = run(plan, tmp_path / "out")
    assert (finished.done, len(finished.problems)) == (2, 1)
    document = document_of(results_of([(plan, tmp_path / "out")]), skipped={}, problems=finished.problems)
    assert document["cases"]["without relevant items"] == 1
    assert document["system"]["bm25"]["n"] == 1


def test_every_ranking_is_of_all_candidates_and_metrics_follow(cases: Path, tmp_path: Path) -> None:
    plan = Plan(cases, (*CHEAP, "newest", "similarity"))
    finished = run(plan, tmp_path / "out")
    assert finished.whole
    assert finished.skipped == {"newest": "does not apply: no item has a time"}
    lines = [json.loads(line) for line in (tmp_path / "out" / RANKINGS).read_text().splitlines()]
    assert len(lines) == 6 * 30
    by_id = {read.blind.case_id: read for read in read_cases(cases) if isinstance(read, Case)}
    for line in lines:
        assert line.keys() == {"case_id", "system", "ranking", "warnings"}
        assert sorted(line["ranking"]) == sorted(c.item_id for c in by_id[line["case_id"]].blind.candidates)
    document = document_of(results_of([(plan, tmp_path / "out")]), skipped=finished.skipped, problems=())
    for row in document["system"].values():
        assert row["n"] == 30
        assert row["ndcg@10_ci"][0] <= row["ndcg@10"] <= row["ndcg@10_ci"][1]
    inverse = document["system"]["inverse-popularity"]["auc"] + document["system"]["popularity"]["auc"]
    assert inverse == pytest.approx(1, abs=1e-5)


def test_the_order_of_candidates_helps_nobody(tmp_path: Path) -> None:
    def first(case: BlindCase) -> list[str]:
        return []

    cases = [case(n) for n in range(200)]
    for given in cases:
        given["candidates"].sort(key=lambda c: c["item_id"] not in given["relevant"])
    plan = Plan(write(tmp_path / "c.jsonl", cases), (f"{__name__}:nothing",))
    sys.modules[__name__].nothing = first  # type: ignore[attr-defined]
    run(plan, tmp_path / "out")
    firsts = [json.loads(line)["ranking"][0] for line in (tmp_path / "out" / RANKINGS).read_text().splitlines()]
    hits = sum(first in given["relevant"] for first, given in zip(firsts, cases, strict=True))
    assert 8 <= hits <= 45  # an eighth of 200 is 25
    results = results_of([(plan, tmp_path / "out")])
    assert results.interval(plan.systems[0], "auc").value == pytest.approx(0.5)


def test_the_same_plan_gives_the_same_file_and_another_is_refused(cases: Path, tmp_path: Path) -> None:
    systems = (*CHEAP, "item2vec", "lda", "als", "bpr", "lightfm", "markov")
    for name in ("a", "b"):
        run(Plan(cases, systems), tmp_path / name)
    assert (tmp_path / "a" / RANKINGS).read_bytes() == (tmp_path / "b" / RANKINGS).read_bytes()
    with pytest.raises(ConfigError, match="other settings"):
        run(Plan(cases, systems, Settings(seed=1)), tmp_path / "a")


@pytest.mark.slow
def test_two_processes_give_the_same_file_as_one(cases: Path, tmp_path: Path) -> None:
    run(Plan(cases, CHEAP[:2]), tmp_path / "one")
    run(Plan(cases, CHEAP[:2]), tmp_path / "two", workers=Workers(2))
    assert (tmp_path / "one" / RANKINGS).read_bytes() == (tmp_path / "two" / RANKINGS).read_bytes()


@pytest.mark.slow
def test_two_processes_rank_a_whole_catalogue_as_one_does(tmp_path: Path) -> None:
    items = [item(n) for n in range(40)]
    write(tmp_path / "items.jsonl", items)
    write(tmp_path / "sessions.jsonl", [[f"i{(n + k) % 40}" for k in range(6)] for n in range(20)])
    on_catalogue = [
        {
            "case_id": f"c{n}",
            "history": items[n : n + 3],
            "candidates": "catalogue",
            "met": [f"i{n}"],
            "relevant": ["i9"],
        }
        for n in range(9)
    ]
    cases = write(tmp_path / "cases.jsonl", on_catalogue)
    plan = Plan(cases, ("itemknn", "bm25"), sessions=tmp_path / "sessions.jsonl", items=tmp_path / "items.jsonl")
    run(plan, tmp_path / "one")
    run(plan, tmp_path / "two", workers=Workers(2))
    assert (tmp_path / "one" / RANKINGS).read_bytes() == (tmp_path / "two" / RANKINGS).read_bytes()
    assert len(json.loads((tmp_path / "one" / RANKINGS).read_text().splitlines()[0])["ranking"]) == 39  # one was met


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_file(cases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'whimbrel[ray]'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    program = "import sys; from whimbrel.agent.cli.main import main; sys.argv[0] = 'whimbrel'; main()"
    command = [
        "eval",
        "rank",
        str(cases),
        "--system",
        "bm25,popularity",
        "--ray",
        "local",
        "--out",
        str(tmp_path / "ray"),
    ]
    subprocess.run([sys.executable, "-c", program, *command], check=True, capture_output=True, timeout=120)
    run(Plan(cases, ("bm25", "popularity")), tmp_path / "one")
    assert (tmp_path / "ray" / RANKINGS).read_bytes() == (tmp_path / "one" / RANKINGS).read_bytes()


def test_a_run_stops_when_its_time_is_over_and_resumes(cases: Path, tmp_path: Path) -> None:
    plan = Plan(cases, CHEAP)
    stopped = run(plan, tmp_path / "out", limits=Limits(seconds=0))
    assert (stopped.done, stopped.total, stopped.whole) == (1, 150, False)
    assert run(plan, tmp_path / "out").whole
    run(plan, tmp_path / "whole")
    assert (tmp_path / "out" / RANKINGS).read_bytes() == (tmp_path / "whole" / RANKINGS).read_bytes()


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    cases = write(tmp_path / "cases.jsonl", [case(n) for n in range(500)])
    systems = "popularity,bm25,itemknn"
    run(Plan(cases, tuple(systems.split(","))), tmp_path / "whole")
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "eval", "rank", str(cases), "--system", systems]
    draw = random.Random(0)
    kills = 0
    while kills < 10:
        process = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL)
        target = draw.randrange(1, 1500)
        while process.poll() is None and _lines(tmp_path / "out" / RANKINGS) < target:
            time.sleep(0.005)
        time.sleep(draw.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        with (tmp_path / "out" / OUTCOMES).open("ab") as file:
            file.write(b'{"half a li')
        if _lines(tmp_path / "out" / RANKINGS) >= 1500:
            _cut(tmp_path / "out" / RANKINGS, draw.randrange(1500))
    subprocess.run([*command, "--out", str(tmp_path / "out"), "--json"], check=True, capture_output=True)
    assert (tmp_path / "out" / RANKINGS).read_bytes() == (tmp_path / "whole" / RANKINGS).read_bytes()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _cut(path: Path, lines: int) -> None:
    kept = path.read_bytes().splitlines(keepends=True)[:lines]
    path.write_bytes(b"".join(kept)[:-3])


def test_a_system_that_fails_is_counted_and_the_run_goes_on(cases: Path, tmp_path: Path) -> None:
    def fails(case: BlindCase) -> list[str]:
        if case.case_id == "c3":
            raise RuntimeError("no idea")
        return [case.candidates[2].item_id, "invented", case.candidates[2].item_id]

    sys.modules[__name__].fails = fails  # type: ignore[attr-defined]
    plan = Plan(cases, (f"{__name__}:fails",))
    assert run(plan, tmp_path / "out").whole
    lines = {x["case_id"]: x for x in map(json.loads, (tmp_path / "out" / RANKINGS).read_text().splitlines())}
    assert lines["c3"]["warnings"] == ["failed: RuntimeError: no idea"]
    assert lines["c4"]["warnings"] == ["2 ids were invented or repeated", "7 candidates were omitted"]
    results = results_of([(plan, tmp_path / "out")])
    assert results.systems[plan.systems[0]].failed == 1


def test_a_ranking_file_is_a_system(cases: Path, tmp_path: Path) -> None:
    rankings = write(tmp_path / "mine.jsonl", [{"case_id": f"c{n}", "ranking": case(n)["relevant"]} for n in range(30)])
    plan = Plan(cases, (str(rankings),))
    run(plan, tmp_path / "out")
    assert results_of([(plan, tmp_path / "out")]).interval(str(rankings), "mrr").value == 1


@pytest.mark.parametrize("name", ["nonesuch", "no.module:function", "json:nothing", "/no/file.jsonl"])
def test_an_unknown_system_is_an_error(name: str, cases: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run(Plan(cases, (name,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_bundled_model_ranks_the_same_twice(tmp_path: Path) -> None:
    plan = Plan(write(tmp_path / "c.jsonl", [case(n) for n in range(4)]), ("whimbrel", "whimbrel-none"))
    for name in ("a", "b"):
        run(plan, tmp_path / name)
    assert (tmp_path / "a" / RANKINGS).read_bytes() == (tmp_path / "b" / RANKINGS).read_bytes()
    document = document_of(results_of([(plan, tmp_path / "a")]), skipped={}, problems=())
    assert document["system"]["whimbrel"]["prompt_tokens"] > 0
    assert document["llm lift"]["ndcg@10"]["n"] == 4
    assert document["minus"]["of"] == "whimbrel"


def test_whimbrel_is_compared_with_each_other_system(cases: Path, tmp_path: Path) -> None:
    plan = Plan(cases, ("whimbrel-none", "bm25", "popularity"))
    run(plan, tmp_path / "out")
    document = document_of(results_of([(plan, tmp_path / "out")]), skipped={}, problems=())
    system, minus = document["system"], document["minus"]
    assert minus["of"] == "whimbrel-none"
    assert set(minus["all cases"]) == {"bm25", "popularity"}
    for name, difference in minus["all cases"].items():
        expected = system["whimbrel-none"]["ndcg@10"] - system[name]["ndcg@10"]
        assert difference["difference"] == pytest.approx(expected, abs=2e-6)  # each figure is rounded
        assert difference["ci"][0] <= difference["difference"] <= difference["ci"][1]
        assert difference["p_holm"] >= difference["p"]


def test_the_digest_of_a_run_is_in_its_manifest(cases: Path, tmp_path: Path) -> None:
    run(Plan(cases, ("bm25",)), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["cases"] == hashlib.sha256(cases.read_bytes()).hexdigest()
    assert manifest["systems"] == ["bm25"]


def test_groups_and_predicted_shifts_are_measured(tmp_path: Path) -> None:
    lines = [
        case(
            n,
            context={"group": "old" if n % 2 else "new"},
            history=[item(number) for number in random.Random(n).choices(range(100), k=200)],
        )
        for n in range(40)
    ]
    path = write(tmp_path / "cases.jsonl", lines)
    plan = Plan(path, ("whimbrel-none", "bm25"), Settings(llm="none"))
    run(plan, tmp_path / "run")
    results = results_of([(plan, tmp_path / "run")])
    document = document_of(results, skipped={}, problems=[])
    gap = document["groups"]["group old"]["bm25"]
    assert gap["ci"][0] <= gap["difference"] <= gap["ci"][1]
    means = [results.interval("bm25", "ndcg@10", results.slices[f"group {name}"]).value for name in ("old", "new")]
    assert gap["difference"] == pytest.approx(means[0] - means[1], abs=1e-6)
    assert document["groups"]["group new"]["bm25"]["difference"] == pytest.approx(-gap["difference"], abs=1e-6)
    predicted = document["shift"]
    assert list(predicted) == ["whimbrel-none"]  # bm25 predicts no shift
    outcomes = [json.loads(line) for line in (tmp_path / "run" / OUTCOMES).read_text().splitlines()]
    shifts = {line["case_id"]: line["shift"] for line in outcomes if line["system"] == "whimbrel-none"}
    assert len(shifts) == 40
    judged = [s for s in shifts.values() if s["kind"] != "none" or s["confidence"]]
    assert predicted["whimbrel-none"]["n"] <= len(judged)
    assert 0 <= predicted["whimbrel-none"]["brier"] <= 1
    assert sum(count for _, _, count in predicted["whimbrel-none"]["reliability"]) == predicted["whimbrel-none"]["n"]
