"""Cases are read line by line: wrong ones are named, the others are blind."""

import json
import random
from pathlib import Path
from typing import Any

from whimbrel.agent.learning.cases import BoundaryCase, Case, Problem, read_boundary_cases, read_cases

WORDS = ["tea", "bread", "rake", "hose", "pot", "rose", "table", "chair", "lamp", "film"]


def item(number: int) -> dict[str, Any]:
    return {"item_id": f"i{number}", "title": f"{WORDS[number % 10]} {number}", "topics": [WORDS[number % 10]]}


def case(number: int, **changes: Any) -> dict[str, Any]:
    numbers = random.Random(number).sample(range(100), 14)
    return {
        "case_id": f"c{number}",
        "user_id": f"u{number // 2}",
        "history": [item(n) for n in numbers[:6]],
        "context": {},
        "candidates": [item(n) for n in numbers[6:]],
        "relevant": [f"i{numbers[6]}"],
    } | changes


def write(path: Path, lines: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_wrong_lines_are_named_and_others_unaffected(tmp_path: Path) -> None:
    twice = case(3)
    twice["candidates"].append(twice["candidates"][0])
    path = write(
        tmp_path / "c.jsonl",
        [
            case(0),
            case(1, candidates=[]),
            case(2, relevant=["elsewhere"]),
            twice,
            "{not json",
            "[1]",
            case(0),
            case(4, relevant="i1"),
            case(5, history=[{"item_id": "x"}]),
            case(6, case_id=None),
            case(7, relevant=[]),
            case(8, context={"max_price": -1}),
            case(9, candidates="catalogue", met=5),
            case(10, user_id="half \ud800"),
        ],
    )
    read = list(read_cases(path))
    reasons = {problem.line: problem.reason for problem in read if isinstance(problem, Problem)}
    expected = {
        2: "no candidates",
        3: "relevant item 'elsewhere' is not a candidate",
        4: "two candidates have the same item_id",
        5: "not JSON",
        6: "not a JSON object",
        7: "in an earlier line",
        8: "not a list of item ids",
        9: "an item's title",
        10: "no case_id",
        12: "context 'max_price'",
        13: "no candidates",
        14: "half a character",
    }
    assert reasons.keys() == expected.keys()
    for line, words in expected.items():
        assert words in reasons[line]
    assert [c.blind.case_id for c in read if isinstance(c, Case)] == ["c0", "c7"]


def test_a_case_shows_no_system_what_is_relevant(tmp_path: Path) -> None:
    (read,) = read_cases(write(tmp_path / "c.jsonl", [case(0)]))
    assert isinstance(read, Case)
    assert read.relevant
    assert "relevant" not in vars(read.blind)


def test_a_case_on_the_whole_catalogue_has_the_catalogue_and_what_was_met(tmp_path: Path) -> None:
    (own,) = read_cases(write(tmp_path / "own.jsonl", [case(0)]))
    assert isinstance(own, Case)
    lines = [case(n, candidates="catalogue", met=["i1"], relevant=["unheard-of"]) for n in range(2)]
    for read in read_cases(write(tmp_path / "c.jsonl", lines), own.blind.candidates):
        assert isinstance(read, Case)
        assert read.blind.candidates is own.blind.candidates
        assert read.blind.met == {"i1"}
    assert own.blind.met is None


def test_boundary_cases_need_a_label_between_neighbours(tmp_path: Path) -> None:
    items = [item(n) for n in range(3)]
    lines = [
        {"case_id": "good", "items": items, "switch": [True, None]},
        {"case_id": "short", "items": items, "switch": [True]},
        {"case_id": "words", "items": items, "switch": ["yes", "no"]},
        {"case_id": "alone", "items": items[:1], "switch": []},
    ]
    good, *problems = read_boundary_cases(write(tmp_path / "b.jsonl", lines))
    assert isinstance(good, BoundaryCase)
    assert good.switch == (True, None)
    reasons = [problem.reason for problem in problems if isinstance(problem, Problem)]
    assert reasons == [
        "switch has 1 entries for 3 items, expected 2",
        "switch is not a list of true, false and null",
        "fewer than two items, so there are no neighbours",
    ]


def test_what_a_case_refuses_may_be_a_list(tmp_path: Path) -> None:
    item = {"item_id": "a", "title": "Tea"}
    context = {"avoid": ["tea", "milk"], "place": "home", "other": [{"x": 1}]}
    case = {"case_id": "c", "history": [], "context": context, "candidates": [item], "relevant": ["a"]}
    (tmp_path / "cases.jsonl").write_text(json.dumps(case) + "\n")
    (read,) = read_cases(tmp_path / "cases.jsonl")
    assert isinstance(read, Case)
    assert read.blind.context == {"avoid": ["tea", "milk"], "place": "home"}
