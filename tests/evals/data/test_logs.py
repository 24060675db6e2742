"""Logs as cases: as of each case's time, whatever is planted later."""

import json
from pathlib import Path

import pytest

from whimbrel.evals.data.folds import CANDIDATES, PROTOCOLS, Fold, Protocol, write_folds
from whimbrel.evals.data.logs import read_log, read_store
from whimbrel.evals.runs.document import document_of
from whimbrel.evals.runs.files import RANKINGS
from whimbrel.evals.runs.plan import Plan, parts_of
from whimbrel.evals.runs.results import results_of
from whimbrel.evals.runs.run import run
from whimbrel.evals.systems.registry import SYSTEMS
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.formats import open_source

DAY = 86_400
BEGIN = 1_600_000_000
CHEAP = tuple(name for name in SYSTEMS if name not in {"whimbrel", "sasrec", "lda", "item2vec", "lightfm", "bpr"})


def log_file(path: Path, *, planted: bool = False) -> Path:
    """Thirty people, forty days; a third of them end early. Planted: a rocket that ten others meet in the end."""
    lines = ["user_id,title,topics,time"]
    for user in range(30):
        for day in range(20 if user % 3 == 0 else 40 - user % 5):
            thing = (user * 3 + day * (1 + user % 4)) % 25
            lines.append(f"u{user},Thing {thing},Kind {thing % 4},{BEGIN + day * DAY + user}")
    if planted:
        lines += [f"v{user},Rocket,Space,{BEGIN + 45 * DAY + user}" for user in range(10)]
    path.write_text("\n".join(lines) + "\n")
    return path


def folds(path: Path, out: Path, **protocol: object) -> list[Fold]:
    return write_folds(read_log(open_source(str(path))), Protocol(**protocol), out)  # type: ignore[arg-type]


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_of_what_came_at_one_moment_any_may_be_the_last(tmp_path: Path) -> None:
    lines = ["user_id,title,topics,time"]
    for user in range(60):
        lines += [f"u{user},Old,Kind,{BEGIN + user}", f"u{user},Older,Kind,{BEGIN - user}"]
        lines += [f"u{user},Basket {thing},Kind,{BEGIN + DAY}" for thing in "abcd"]
    (tmp_path / "baskets.csv").write_text("\n".join(lines) + "\n")
    drawn = []
    for out in ("one", "other"):
        (fold,) = folds(tmp_path / "baskets.csv", tmp_path / out, refits=1)
        cases = read(fold.cases)
        assert all(len(case["history"]) == 2 for case in cases)  # type: ignore[arg-type]
        drawn.append([case["relevant"] for case in cases])
    assert drawn[0] == drawn[1]
    assert len({item for relevant in drawn[0] for item in relevant}) == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("candidates", CANDIDATES)
def test_a_fold_learns_only_from_what_came_before_its_first_case(name: str, candidates: str, tmp_path: Path) -> None:
    made = folds(log_file(tmp_path / "a.csv"), tmp_path / "out", name=name, candidates=candidates, refits=3)
    assert len(made) == (1 if name == "time-split" else 3)
    ends = []
    for fold in made:
        learned = [time for session in read(fold.sessions) for time in session["times"]]  # type: ignore[attr-defined]
        shown = [item["time"] for case in read(fold.cases) for item in case["history"]]  # type: ignore[attr-defined]
        known = {item["item_id"] for item in read(fold.items)}
        assert learned
        ends.append(max(learned))
        assert all(set(session["items"]) <= known for session in read(fold.sessions))  # type: ignore[call-overload]
        assert min(shown) < max(learned)
        if candidates != "catalogue":
            for case in read(fold.cases):
                ids = [item["item_id"] for item in case["candidates"]]  # type: ignore[attr-defined]
                met = {item["item_id"] for item in case["history"]}  # type: ignore[attr-defined]
                assert set(case["relevant"]) <= set(ids)  # type: ignore[call-overload]
                assert len(set(ids)) == len(ids)
                assert not met & set(ids)
    assert ends == sorted(ends)


@pytest.mark.parametrize("candidates", [name for name in CANDIDATES if name != "catalogue"])
def test_news_to_the_log_is_not_what_is_wanted(candidates: str, tmp_path: Path) -> None:
    lines = ["user_id,title,topics,time"]
    for user in range(200):
        lines += [f"u{user},Thing {(user + day) % 40},Kind,{BEGIN + day * DAY + user}" for day in range(3)]
        lines += [f"u{user},New {user % 150},Kind,{BEGIN + 4 * DAY + user * 60}"]
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    (fold,) = folds(tmp_path / "new.csv", tmp_path / "out", candidates=candidates, refits=1)
    known = {item["item_id"] for item in read(fold.items)}
    wanted, others = [], []
    for case in read(fold.cases):
        for item in case["candidates"]:  # type: ignore[attr-defined]
            (wanted if item["item_id"] in case["relevant"] else others).append(item["item_id"] not in known)  # type: ignore[operator]
    assert sum(wanted) > 100
    assert sum(others) > sum(wanted)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_planted_future_event_is_seen_by_no_system(name: str, tmp_path: Path) -> None:
    seen = []
    for planted in (False, True):
        made = folds(
            log_file(tmp_path / f"{planted}.csv", planted=planted),
            tmp_path / str(planted),
            name=name,
            refits=2,
            begin=BEGIN + 15 * DAY,
        )
        for fold in made:
            folder = fold.cases.parent
            run(Plan(fold.cases, CHEAP, sessions=fold.sessions, items=fold.items), folder)
            seen.append((planted, [path.read_text() for path in (fold.cases, fold.sessions, fold.items)]))
            seen.append((planted, [(folder / RANKINGS).read_text()]))
    assert [files for planted, files in seen if planted] == [files for planted, files in seen if not planted]
    assert not any("Rocket" in text for _, files in seen for text in files)


def test_a_whole_catalogue_is_ranked_without_what_was_met(tmp_path: Path) -> None:
    made = folds(log_file(tmp_path / "a.csv"), tmp_path / "out", refits=2)
    parts = [(Plan(fold.cases, CHEAP, sessions=fold.sessions, items=fold.items), fold.cases.parent) for fold in made]
    for plan, folder in parts:
        assert run(plan, folder).whole
        met = {str(case["case_id"]): set(case["met"]) for case in read(plan.cases)}  # type: ignore[call-overload]
        for line in read(folder / RANKINGS):
            assert not met[str(line["case_id"])] & set(line["ranking"])  # type: ignore[call-overload]
    assert [folder for _, folder in parts_of(tmp_path / "out")] == [folder for _, folder in parts]
    document = document_of(results_of(parts), skipped={}, problems=())
    assert document["cases"]["n"] == sum(fold.count for fold in made)
    assert document["system"]["popularity"]["auc"] is None
    assert {"interest shifts", "interest stays"} & document["slices"].keys()


def test_who_met_the_whole_catalogue_is_ranked_nothing_and_that_is_no_failure(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "cases.jsonl", ("whimbrel-none",), sessions=tmp_path / "s.jsonl", items=tmp_path / "i.jsonl")
    things = [{"item_id": f"t{n}", "title": f"Thing {n}"} for n in range(3)]
    ids = [thing["item_id"] for thing in things]
    case = {"case_id": "all", "history": things, "candidates": "catalogue", "met": ids, "relevant": ["unheard-of"]}
    plan.cases.write_text(json.dumps(case))
    (tmp_path / "s.jsonl").write_text(json.dumps(ids))
    (tmp_path / "i.jsonl").write_text("".join(json.dumps(thing) + "\n" for thing in things))
    assert run(plan, tmp_path / "out").whole
    assert [(line["ranking"], line["warnings"]) for line in read(tmp_path / "out" / RANKINGS)] == [([], [])]


def test_a_store_is_a_log_too(shop: Path, shop_csv: Path) -> None:
    stored, given = read_store(str(shop)), read_log(open_source(str(shop_csv)))
    assert len(stored.time) == len(given.time)
    assert sorted(item.title for item in stored.items) == sorted(item.title for item in given.items)


def test_what_cannot_be_asked_is_told(tmp_path: Path) -> None:
    path = log_file(tmp_path / "a.csv")
    with pytest.raises(ConfigError, match="protocols are leave-last-out"):
        folds(path, tmp_path / "out", name="random")
    lonely = tmp_path / "b.csv"
    lonely.write_text("user_id,title,time\nu,A,1\n")
    with pytest.raises(DataError, match="no case is left"):
        folds(lonely, tmp_path / "out")
