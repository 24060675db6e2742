"""`whimbrel fit` on files of sessions, and `whimbrel eval rank --fitted` with what it wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.ranking.rankers import Rankers

Run = Callable[..., tuple[int, str, str]]
SIZE = 300


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Sessions that go round a ring of items, the items, and cases that ask what comes next among ten."""
    folder, random = tmp_path_factory.mktemp("ring"), np.random.default_rng(0)
    name = [f"i{n:03}" for n in range(SIZE)]
    title = [f"{''.join(random.choice(list('bcdfglmnprst'), 5))}" for _ in range(SIZE)]
    items = [{"item_id": name[n], "title": title[n]} for n in range(SIZE)]

    def walk(length: int) -> list[int]:
        place, steps = int(random.integers(SIZE)), []
        for _ in range(length):
            place = (place + 1) % SIZE if random.random() < 0.85 else int(random.integers(SIZE))
            steps.append(place)
        return steps

    sessions = [[name[n] for n in walk(8)] for _ in range(500)]
    cases = []
    for number in range(60):
        start = int(random.integers(SIZE - 6))
        others = random.choice([n for n in range(SIZE) if not start <= n < start + 6], 9, replace=False)
        pool = [items[n] for n in random.permutation([start + 4, *others])]
        history = [items[start + step] for step in range(4)]
        cases.append({"case_id": f"c{number}", "history": history, "candidates": pool, "relevant": [name[start + 4]]})
    paths = [folder / f"{what}.jsonl" for what in ("sessions", "items", "cases")]
    for path, lines in zip(paths, (sessions, items, cases), strict=True):
        path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return paths[0], paths[1], paths[2]


def test_what_is_fitted_ranks_cases_better_than_what_is_shipped(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    sessions, items, cases = files
    status, told, _ = run("fit", "--sessions", sessions, "--items", items, "--out", tmp_path / "fitted", "--json")
    assert status == 0
    done = json.loads(told)
    assert done["choices"]["given"] > 200
    assert Rankers.model_validate_json((tmp_path / "fitted" / "fusion.json").read_text()) != Rankers.default()
    options = (cases, "--system", "whimbrel-none,similarity", "--llm", "none", "--json")
    shipped, fitted = (
        json.loads(run("eval", "rank", *options, *more)[1])["system"]
        for more in ((), ("--fitted", tmp_path / "fitted"))
    )
    assert fitted["whimbrel-none"]["ndcg@5"] > 0.9
    assert fitted["whimbrel-none"]["ndcg@5"] > shipped["whimbrel-none"]["ndcg@5"] + 0.3
    assert fitted["similarity"]["ndcg@10"] == shipped["similarity"]["ndcg@10"]


def test_cases_calibrate_and_wrong_lines_are_told(run: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    sessions, items, cases = files
    mixed = tmp_path / "cases.jsonl"
    mixed.write_text(cases.read_text() + "{broken\n")
    out = tmp_path / "fitted"
    status, told, errors = run(
        "fit", "--sessions", sessions, "--items", items, "--cases", mixed, "--out", out, "--json"
    )
    assert status == 0
    assert json.loads(told)["cases"] == 60
    assert "line 61: not JSON" in errors


def test_what_makes_no_sense_is_refused(run: Run, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    sessions, items, cases = files
    for arguments, told in (
        ((), "name a log"),
        (("--store", tmp_path, "--sessions", sessions), "name a log"),
        (("--sessions", sessions, "--items", items), "with --out"),
        (("--cases", cases), "with --out"),
        (("--store", tmp_path, "--out", tmp_path / "out"), "no store"),
        (("--sessions", tmp_path / "none.jsonl", "--out", tmp_path / "out"), "none.jsonl"),
    ):
        status, _, errors = run("fit", *arguments)
        assert status == 1
        assert told in errors
    for line, told in ((["a\nb"] * 3, "cannot be kept"), ({"items": ["i001"], "times": ["noon"]}, "line 1: times")):
        (tmp_path / "wrong.jsonl").write_text(json.dumps(line) + "\n")
        status, _, errors = run("fit", "--sessions", tmp_path / "wrong.jsonl", "--out", tmp_path / "out")
        assert status == 1
        assert told in errors
    few = tmp_path / "few.jsonl"
    few.write_text(json.dumps(["i001", "i002"]) + "\n")
    status, _, errors = run("fit", "--sessions", few, "--items", items, "--out", tmp_path / "out")
    assert status == 1
    assert "too short" in errors
    status, _, errors = run("eval", "rank", cases, "--system", "whimbrel-none", "--fitted", tmp_path / "absent")
    assert status == 1
    assert "is not a fitted log" in errors


def shown_lists(path: Path, count: int = 120, *, wrong: range = range(0)) -> Path:
    """Cases whose choice nothing tells but how often others chose it; of those in `wrong` another is called relevant."""
    random, lines = np.random.default_rng(4), []
    names = ["".join(random.choice(list("bcdfglmnprst"), 6)) for _ in range(40)]
    liked = random.normal(size=40) * 2
    for number in range(count):
        listed = random.choice(40, 10, replace=False)
        best = listed[np.argsort(-(liked[listed] + random.gumbel(size=10) * 0.5))]
        lines.append(
            {
                "case_id": f"c{number}",
                "history": [{"item_id": f"h{random.integers(300)}", "title": "".join(random.choice(list("aeiou"), 5))}],
                "candidates": [{"item_id": f"i{n}", "title": names[n]} for n in listed],
                "relevant": [f"i{best[-1 if number in wrong else 0]}"],
            }
        )
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_what_is_chosen_of_what_is_shown_ranks_other_peoples_lists(run: Run, tmp_path: Path) -> None:
    cases = shown_lists(tmp_path / "cases.jsonl")
    options = ("--system", "whimbrel-none,similarity,popularity", "--llm", "none", "--crossfit", 4, "--json")
    status, told, _ = run("eval", "rank", cases, *options, "--out", tmp_path / "run")
    assert status == 0
    document = json.loads(told)
    of = document["system"]
    assert of["whimbrel-none"]["ndcg@5"] > 0.7 > 0.5 > of["similarity"]["ndcg@5"]
    assert of["whimbrel-none"]["ndcg@5"] > of["popularity"]["ndcg@5"]
    fitted = Fitted.load(tmp_path / "run" / "fold-2" / "fitted")
    assert fitted.fusion.cold.weights["click_rate"] > 0.5
    assert fitted.click_rates is not None
    assert 60 < sum(fitted.click_rates.chosen.values()) < 120
    again, told, _ = run("eval", "rank", cases, *options, "--out", tmp_path / "run")
    assert again == 0
    assert json.loads(told)["system"] == of


def test_a_part_is_ranked_blind_to_what_it_chose(run: Run, tmp_path: Path) -> None:
    def ranked(name: str, wrong: range) -> dict[str, list[str]]:
        cases, out = shown_lists(tmp_path / f"{name}.jsonl", wrong=wrong), tmp_path / name
        options = ("--system", "whimbrel-none,popularity", "--llm", "none", "--crossfit", 3, "--out", out)
        assert run("eval", "rank", cases, *options)[0] == 0
        lines = map(json.loads, (out / "fold-1" / "rankings.jsonl").read_text().splitlines())
        return {f"{line['system']} {line['case_id']}": line["ranking"] for line in lines}

    right = ranked("right", range(0))
    of_part = [int(key.split(" c")[1]) for key in right if key.startswith("popularity")]
    assert 20 < len(of_part) < 60
    same, other = ranked("same", range(of_part[0], of_part[0] + 1)), ranked("other", range(120))
    assert same == right
    assert other != right


def test_cases_alone_are_learned_from_and_too_few_are_refused(run: Run, tmp_path: Path) -> None:
    cases = shown_lists(tmp_path / "cases.jsonl")
    status, told, _ = run("fit", "--cases", cases, "--out", tmp_path / "fitted", "--json")
    assert status == 0
    assert json.loads(told)["cases"] == 120
    others = tmp_path / "others.jsonl"
    others.write_text(cases.read_text().replace('"case_id": "c', '"case_id": "d'))
    options = (others, "--system", "whimbrel-none", "--llm", "none")
    assert run("eval", "rank", *options, "--fitted", tmp_path / "fitted")[0] == 0
    status, _, errors = run("eval", "rank", cases, *options[1:], "--fitted", tmp_path / "fitted")
    assert status == 1
    assert "was fitted on 120 of these cases" in errors
    (tmp_path / "fitted" / "click_rates.json").write_text('{"shown": {"i1": 1}, "chosen": {"i1": 2}}')
    for more, problem in (
        (("--fitted", tmp_path / "fitted"), "damaged"),
        (("--crossfit", 100), "too few users"),
        (("--crossfit", 2, "--fitted", tmp_path / "fitted"), "leave out --fitted"),
    ):
        status, _, errors = run("eval", "rank", *options, *more)
        assert status == 1
        assert problem in errors
    (tmp_path / "empty.jsonl").write_text("{broken\n")
    status, _, errors = run("fit", "--cases", tmp_path / "empty.jsonl", "--out", tmp_path / "none")
    assert status == 1
    assert "too short" in errors


def test_parts_of_one_run_are_not_those_of_another(run: Run, tmp_path: Path) -> None:
    cases, out = shown_lists(tmp_path / "cases.jsonl"), tmp_path / "run"
    options = ("--llm", "none", "--out", out)
    status, _, errors = run("eval", "rank", cases, "--system", "nosuch", "--crossfit", 3, *options)
    assert status == 1
    assert "nosuch" in errors
    assert not out.is_dir() or not list(out.glob("fold-*"))  # nothing was learned for a system that does not exist
    options = ("--system", "popularity", *options)
    assert run("eval", "rank", cases, "--crossfit", 3, *options)[0] == 0
    fitted = {path: path.read_bytes() for path in out.glob("fold-*/fitted/*") if path.is_file()}
    for more, problem in (((), "another kind"), (("--crossfit", 3, "--seed", 1), "other part, settings")):
        status, _, errors = run("eval", "rank", cases, *options, *more)
        assert status == 1
        assert problem in errors
    assert {path: path.read_bytes() for path in fitted} == fitted
    assert run("eval", "rank", cases, "--system", "popularity", "--llm", "none", "--out", tmp_path / "whole")[0] == 0
    status, _, errors = run(
        "eval",
        "rank",
        cases,
        "--system",
        "popularity",
        "--llm",
        "none",
        "--crossfit",
        3,
        "--out",
        tmp_path / "whole",
    )
    assert status == 1
    assert "another kind" in errors


def test_a_fitted_folder_is_of_one_log_and_others_learn_from_it_too(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    sessions, items, cases = files
    fitted, few, ranked = tmp_path / "fitted", tmp_path / "few.jsonl", (cases, "--system", "itemknn", "--llm", "none")
    assert run("fit", "--sessions", sessions, "--items", items, "--out", fitted)[0] == 0
    assert Fitted.load(fitted).items.embeddings is not None
    by_log, by_fitted = (
        json.loads(run("eval", "rank", *ranked, *more, "--json")[1])["system"]["itemknn"]["ndcg@10"]
        for more in (("--sessions", sessions, "--items", items), ("--fitted", fitted))
    )
    assert by_log == by_fitted > 0.5
    few.write_text("\n".join(sessions.read_text().splitlines()[:60]) + "\n")
    assert run("fit", "--sessions", few, "--items", items, "--out", fitted)[0] == 0
    assert Fitted.load(fitted).items.embeddings is None
    (fitted / "items.jsonl").write_text('{"item_id": "other", "title": "Other"}\n')
    status, _, errors = run("eval", "rank", cases, "--system", "whimbrel-none", "--llm", "none", "--fitted", fitted)
    assert status == 1
    assert "mixes two logs" in errors
