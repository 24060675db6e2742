"""Published data sets by leave-one-out: which events are cases, and which are learned from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whimbrel.evals.cli.published import METRICS
from whimbrel.evals.data.published import DATA_SETS, in_core, read_published, write_leave_one_out
from whimbrel.evals.runs.document import document_of
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.results import results_of
from whimbrel.evals.runs.run import run
from whimbrel.tools.errors import ConfigError, DataError

RATINGS = """
1::30::5::100
1::10::4::200
1::20::3::200
2::20::5::150
2::10::5::120
3::30::1::999
"""
BEGIN = 1_400_000_000
FILMS = "10::Heat (1995)::Action|Crime\n20::Clue (1985)::Comedy\n30::Big (1988)::Comedy\n40::Jaws (1975)::Horror\n"


@pytest.fixture
def movielens(tmp_path: Path) -> Path:
    """Three people and four films. User 1 rates two films in the same second, and nobody rates film 40."""
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text(RATINGS.lstrip())
    (folder / "movies.dat").write_text(FILMS)
    return folder


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def cut(name: str, path: Path, out: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the cases and the training sessions, each keyed by user, and the ids of the catalogue."""
    out.mkdir()
    fold = write_leave_one_out(read_published(name, path), out, **options)
    cases, sessions = read(fold.cases), read(fold.sessions)
    assert fold.count == len(cases)
    items = [item["item_id"] for item in read(fold.items)]
    return {case["user_id"]: case for case in cases}, {row["user_id"]: row for row in sessions}, items


def test_the_last_event_of_each_user_is_the_case(movielens: Path, tmp_path: Path) -> None:
    cases, sessions, items = cut("ml-1m", movielens, tmp_path / "out")
    assert {user: case["relevant"] for user, case in cases.items()} == {"1": ["20"], "2": ["20"]}
    assert {user: case["met"] for user, case in cases.items()} == {"1": ["10", "30"], "2": ["10"]}
    assert [item["item_id"] for item in cases["1"]["history"]] == ["30", "10"]
    assert {user: row["items"] for user, row in sessions.items()} == {"1": ["30", "10"], "2": ["10"]}
    assert items == ["10", "20", "30"]
    assert {case["at"] for case in cases.values()} == {None}


def test_events_at_the_same_time_keep_the_order_of_the_file(movielens: Path, tmp_path: Path) -> None:
    lines = RATINGS.split()
    lines[1], lines[2] = lines[2], lines[1]
    (movielens / "ratings.dat").write_text("\n".join(lines) + "\n")
    cases, _, _ = cut("ml-1m", movielens, tmp_path / "out")
    assert cases["1"]["relevant"] == ["10"]


def test_labels_are_not_learned_from_even_if_their_user_has_no_case(movielens: Path, tmp_path: Path) -> None:
    cases, sessions, _ = cut("ml-1m", movielens, tmp_path / "out", users=1)
    assert len(cases) == 1
    assert {user: row["items"] for user, row in sessions.items()} == {"1": ["30", "10"], "2": ["10"]}


def reviews() -> list[tuple[str, str, int]]:
    """Five people who each rate five things, one of them once more, and a person and a thing with too few ratings."""
    rows = [(f"A{user}", f"B00000000{thing}", BEGIN + 1000 * user + thing) for user in range(5) for thing in range(5)]
    return [*rows, ("A0", "B000000009", BEGIN + 9000), ("A0", "B000000000", BEGIN + 9001), ("A9", "B000000000", BEGIN)]


def as_json(path: Path) -> Path:
    names = ("reviewerID", "asin", "unixReviewTime", "overall")
    documents = [dict(zip(names, (*row, 4.0), strict=True)) for row in reviews()]
    path = path.with_suffix(".json")
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def as_csv(path: Path) -> Path:
    path = path.with_suffix(".csv")
    rows = [f"{user},{thing},4.0,{time}\n" for user, thing, time in reviews()]
    path.write_text("user,item,rating,timestamp\n" + "".join(rows))
    return path


@pytest.mark.parametrize("written", [as_json, as_csv])
def test_beauty_is_a_5_core(written: Any, tmp_path: Path) -> None:
    cases, sessions, items = cut("beauty", written(tmp_path / "reviews_Beauty"), tmp_path / "out")
    things = [f"B00000000{thing}" for thing in range(5)]
    assert sorted(items) == things
    assert sorted(cases) == sorted(sessions) == [f"A{user}" for user in range(5)]
    assert all(sessions[f"A{user}"]["items"] == things[:4] for user in range(1, 5))
    assert cases["A1"]["relevant"] == [things[4]]
    # The last event of A0 is an item that A0 already has.
    assert cases["A0"]["relevant"] == []
    assert sessions["A0"]["items"] == things


def test_a_core_is_filtered_until_nothing_changes() -> None:
    # Item 2 has one event. Without it user 1 has one event, and without that item 1 has one event.
    user, item = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 3, 1, 2, 0, 3])
    assert in_core(user, item, core=2).tolist() == [True, False, True, False, False, True, True]


def test_a_run_measures_the_whole_catalogue(movielens: Path, tmp_path: Path) -> None:
    fold = write_leave_one_out(read_published("ml-1m", movielens), tmp_path)
    plan = Plan(fold.cases, ("popularity",), sessions=fold.sessions, items=fold.items)
    finished = run(plan, tmp_path)
    row = document_of(results_of([(plan, tmp_path)]), skipped={}, problems=finished.problems)["system"]["popularity"]
    # User 1 has all other films, so film 20 is first. For user 2, film 30 was rated once in training and 20 never.
    assert row["n"] == 2
    assert row["recall@10"] == 1
    assert row["ndcg@10"] == pytest.approx((1 + 1 / np.log2(3)) / 2, abs=1e-6)
    assert {f"{metric}_ci" for metric in METRICS} <= row.keys()


def test_the_published_figures_are_shares() -> None:
    for data_set in DATA_SETS.values():
        assert all(0 < figure.ndcg_at_10 < figure.recall_at_10 < 1 for figure in data_set.figures)


def test_errors_say_what_is_wrong(movielens: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ml-1m, beauty"):
        read_published("ml-2m", movielens)
    (tmp_path / "few.csv").write_text("user,item,rating,timestamp\na,b,4.0,1000000000\n")
    with pytest.raises(DataError, match="5"):
        read_published("beauty", tmp_path / "few.csv")
