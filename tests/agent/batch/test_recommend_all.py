"""Lists for all users: those that `recommend` gives one by one, in one file, whatever interrupts the run."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from whimbrel.agent import Agent, Recommendations
from whimbrel.agent.batch import recommend_all as module
from whimbrel.agent.batch.answering import FAILED, ListRequest
from whimbrel.agent.batch.recommend_all import recommend_all
from whimbrel.agent.cli.main import main
from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.schema.context import Context
from whimbrel.tools.errors import ConfigError, DataError, StoreError, WhimbrelError
from whimbrel.tools.records import Occurrence
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import open_store
from whimbrel.tools.timestamps import iso
from whimbrel.tools.workers import Workers

USERS = 32
SLOW_PROGRAM = """
import sys, time
from whimbrel.agent.batch import recommend_all as module
from whimbrel.agent.batch.parts import Parts
from whimbrel.agent.cli.main import main
module.USERS_OF_PART, module.USERS_OF_TASK = 3, 2
add = Parts.add
Parts.add = lambda self, lines: (add(self, lines), time.sleep(0.2))
sys.argv[0] = "whimbrel"
main()
"""
"""The command with parts of 3 users, after each of which it waits."""


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def items_of(document: dict[str, Any]) -> list[tuple[str, float]]:
    return [(entry["item_id"], entry["score"]) for entry in document["recommendations"]]


@pytest.fixture
def copied(shop_csv: Path, tmp_path: Path) -> Path:
    """A store that a test may change."""
    ingest(open_source(str(shop_csv)), tmp_path / "copied")
    return tmp_path / "copied"


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USERS_OF_PART", 3)
    monkeypatch.setattr(module, "USERS_OF_TASK", 2)


@pytest.mark.parametrize("context", [{}, {"place": "work", "query": "something for the garden", "avoid": ["tea"]}])
def test_the_lists_are_those_that_users_get_one_by_one(shop: Path, tmp_path: Path, context: dict[str, Any]) -> None:
    finished = recommend_all(shop, tmp_path / "lists.jsonl", ListRequest(k=5, context=Context(**context)))
    answers = documents(tmp_path / "lists.jsonl")
    assert finished.users == len(answers) == USERS
    assert finished.recommendations == sum(len(document["recommendations"]) for document in answers)
    equal = 0
    with Agent.open(shop, llm="none") as agent:
        end = agent.store.log.end
        assert end is not None
        assert [document["user_id"] for document in answers] == sorted(agent.store.log.user_ids)
        for document in answers:
            assert document["at"] == iso(end + 1)
            alone = json.loads(agent.recommend(document["user_id"], end + 1, context, k=5).model_dump_json())
            assert document["shift"] == alone["shift"]
            assert document["summary"] == alone["summary"]
            assert document["warnings"] == alone["warnings"]
            # The index of a store is approximate, and the search of a batch is exact. A few lists may thus differ.
            equal += items_of(document) == [(item, pytest.approx(score, abs=1e-4)) for item, score in items_of(alone)]
    assert equal >= 0.95 * USERS


@pytest.mark.slow
def test_films_are_recommended_to_all_as_they_are_one_by_one(ml100k: Path, tmp_path: Path) -> None:
    ingest(open_source(str(ml100k)), tmp_path / "ml")
    names = tmp_path / "users.txt"
    with Agent.open(tmp_path / "ml", llm="none") as agent:
        end = agent.store.log.end or 0.0
        chosen = sorted(agent.store.log.user_ids)[::32]
        alone = [json.loads(agent.recommend(user_id, end + 1).model_dump_json()) for user_id in chosen]
    assert len(chosen) == 30
    names.write_text("\n".join(chosen))
    recommend_all(tmp_path / "ml", tmp_path / "lists.jsonl", users=names)
    answers = documents(tmp_path / "lists.jsonl")
    assert [document["shift"] for document in answers] == [document["shift"] for document in alone]
    equal = sum(
        items_of(one) == [(item, pytest.approx(score, abs=1e-4)) for item, score in items_of(other)]
        for one, other in zip(answers, alone, strict=True)
    )
    assert equal >= 0.95 * len(chosen)


def test_a_document_is_that_of_recommend_without_its_seconds(shop: Path, tmp_path: Path) -> None:
    recommend_all(shop, tmp_path / "lists.jsonl")
    line = (tmp_path / "lists.jsonl").read_text().splitlines()[0]
    assert "seconds" not in line
    answer = Recommendations.model_validate_json(line)
    assert set(json.loads(line)) == set(json.loads(answer.model_dump_json()))


def test_two_runs_give_the_same_bytes_in_every_format(shop: Path, tmp_path: Path) -> None:
    for suffix in (".jsonl", ".jsonl.gz", ".parquet"):
        for name in "ab":
            recommend_all(shop, tmp_path / f"{name}{suffix}", ListRequest(k=3))
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert not list(tmp_path.glob("*.parts"))
    lines = (tmp_path / "a.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == lines
    table = pq.read_table(tmp_path / "a.parquet")
    columns = "user_id at rank item_id title score explanation shift_kind shift_confidence summary warnings"
    assert table.column_names == columns.split()
    rows = [
        {
            "user_id": document["user_id"],
            "at": document["at"],
            **{name: entry[name] for name in ("rank", "item_id", "title", "score", "explanation")},
            "shift_kind": document["shift"]["kind"],
            "shift_confidence": document["shift"]["confidence"],
            "summary": document["summary"],
            "warnings": document["warnings"],
        }
        for document in documents(tmp_path / "a.jsonl")
        for entry in document["recommendations"]
    ]
    assert [row | {"at": iso(row["at"].timestamp())} for row in table.to_pylist()] == rows


def test_without_reasons_the_lists_stay(shop: Path, tmp_path: Path) -> None:
    recommend_all(shop, tmp_path / "with.jsonl", ListRequest(k=4))
    recommend_all(shop, tmp_path / "without.jsonl", ListRequest(k=4, reasons=False))
    told, untold = documents(tmp_path / "with.jsonl"), documents(tmp_path / "without.jsonl")
    assert list(map(items_of, told)) == list(map(items_of, untold))
    assert all(entry["explanation"] for document in told for entry in document["recommendations"])
    assert not any(entry["explanation"] for document in untold for entry in document["recommendations"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_killed_goes_on_and_gives_the_same_file(
    workers: int, shop: Path, tmp_path: Path, small_parts: None
) -> None:
    out, parts = tmp_path / "lists.jsonl", tmp_path / "lists.jsonl.parts"
    command = [sys.executable, "-c", SLOW_PROGRAM, "recommend", "--all-users", "--store", str(shop), "--k", "3"]
    process = subprocess.Popen([*command, "--out", str(out), "--workers", str(workers)], stderr=subprocess.DEVNULL)
    while not (parts / "part-00000.jsonl").is_file():
        assert process.poll() is None
        time.sleep(0.002)
    children = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    deadline = time.monotonic() + 10
    while any(map(_runs, children)):  # no worker waits for ever
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (parts / "part-00099.jsonl.1.2.partial").write_text("half a l")
    finished = recommend_all(shop, out, ListRequest(k=3))
    assert finished.users == USERS
    assert 0 < finished.answered < USERS
    recommend_all(shop, tmp_path / "whole.jsonl", ListRequest(k=3))
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not parts.exists()


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.is_file() else []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def stopped(store: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a run that stopped before its file was written."""

    def stop(out: Path) -> Callable[[Any, Any], None]:
        def write(file: Any, lines: Any) -> None:
            raise KeyboardInterrupt

        return write

    with monkeypatch.context() as patched:
        patched.setattr(module, "format_of", stop)
        with pytest.raises(KeyboardInterrupt):
            recommend_all(store, out, ListRequest(k=3))


def test_another_command_does_not_go_on_with_a_run(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "lists.jsonl"
    stopped(shop, out, monkeypatch)
    for other, what in (
        (ListRequest(k=4), "--k"),
        (ListRequest(k=3, at=1_600_000_000.0), "--at"),
        (ListRequest(k=3, reasons=False), "--reasons"),
        (ListRequest(k=3, context=Context(query="tea")), "--context"),
    ):
        with pytest.raises(ConfigError, match=f"another {what}: give the command of that run .* or remove this folder"):
            recommend_all(shop, out, other)
    (tmp_path / "users.txt").write_text("u1\n")
    with pytest.raises(ConfigError, match="another choice of users"):
        recommend_all(shop, out, ListRequest(k=3), users=tmp_path / "users.txt")
    assert recommend_all(shop, out, ListRequest(k=3)).answered == 0


def test_a_store_that_changed_does_not_go_on_with_a_run(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lists.jsonl"
    stopped(copied, out, monkeypatch)
    with open_store(copied) as store:
        store.add("u1", Occurrence(1_600_000_001.0, store.log.item_ids[0], "purchase"))
    with pytest.raises(ConfigError, match="the store has changed"):
        recommend_all(copied, out, ListRequest(k=3))


def test_what_is_left_of_a_removed_folder_belongs_to_no_run(shop: Path, tmp_path: Path) -> None:
    parts = tmp_path / "lists.jsonl.parts"
    parts.mkdir()
    (parts / "part-00000.jsonl").write_text("{}\n")
    assert recommend_all(shop, tmp_path / "lists.jsonl").answered == USERS
    assert len(documents(tmp_path / "lists.jsonl")) == USERS


def test_unknown_users_of_a_list_are_written_to_a_file(shop: Path, tmp_path: Path) -> None:
    names, out = tmp_path / "users.txt", tmp_path / "lists.jsonl"
    names.write_text("u7\nnobody\n\n u3 \nu7\n\x1bu\n", "utf-8")
    finished = recommend_all(shop, out, users=names)
    assert (finished.users, finished.unknown) == (2, 2)
    assert [document["user_id"] for document in documents(out)] == ["u3", "u7"]
    assert finished.unknown_file.read_text() == "nobody\n\x1bu\n"
    names.write_text("u7\n")
    assert not recommend_all(shop, out, users=names).unknown_file.exists()
    names.write_text("nobody\n")
    with pytest.raises(DataError, match="none of the 1 users"):
        recommend_all(shop, out, users=names)
    with pytest.raises(ConfigError, match="cannot be read"):
        recommend_all(shop, out, users=tmp_path / "absent.txt")


def test_a_damaged_history_fails_alone(copied: Path, tmp_path: Path) -> None:
    with open_store(copied) as store:
        store._database.upsert("users", ["u1\x1f0"], np.ones((1, 384), np.float32), [{"history": "x"}])
    finished = recommend_all(copied, tmp_path / "lists.jsonl")
    assert (finished.users, finished.failed) == (USERS, 1)
    by_user = {document["user_id"]: document for document in documents(tmp_path / "lists.jsonl")}
    assert by_user["u1"]["recommendations"] == []
    assert by_user["u1"]["warnings"][0].startswith(f"{FAILED}StoreError: ")
    assert "damaged record" in by_user["u1"]["warnings"][0]
    assert by_user["u2"]["recommendations"]


def test_two_workers_give_the_same_file_as_one(shop: Path, tmp_path: Path, small_parts: None) -> None:
    recommend_all(shop, tmp_path / "one.jsonl")
    recommend_all(shop, tmp_path / "two.jsonl", workers=Workers(2))
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_an_error_of_a_worker_is_told(shop: Path, tmp_path: Path) -> None:
    for workers in (Workers(), Workers(2)):
        with pytest.raises(ConfigError, match="nonesuch"):
            recommend_all(shop, tmp_path / "lists.jsonl", ListRequest(llm="nonesuch:x"), workers=workers)
        assert not list(tmp_path.iterdir())  # the corrected command finds nothing in its way


def test_a_file_of_somebody_else_stays(shop: Path, tmp_path: Path) -> None:
    thesis = tmp_path / "lists.jsonl.parts" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    with pytest.raises(ConfigError, match=r"holds 'thesis\.txt': move it elsewhere"):
        recommend_all(shop, tmp_path / "lists.jsonl")
    assert thesis.read_text() == "mine"


def test_a_run_whose_every_request_fails_writes_nothing(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "lists.jsonl"
    recommend_all(shop, out)
    before = out.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Agent, "run", lambda *_: 1 / 0)
        with pytest.raises(WhimbrelError, match="every request failed: ZeroDivisionError"):
            recommend_all(shop, out)
    assert [path.name for path in tmp_path.iterdir()] == ["lists.jsonl"]
    assert out.read_bytes() == before
    recommend_all(shop, out)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", "[1]"),
        ("manifest.json", "[" * 5000),
        *(("part-00000.jsonl", content) for content in ("{}", "\xff", "[" * 5000, '{"recommendations": 1}')),
        ("part-00000.jsonl", '{"recommendations": [], "warnings": [1]}'),
        ("snapshot/facts.json", ""),
        ("snapshot/log_time.npy", "\x93NUMPY\x01\x00\x0c\x00{'descr': (\n"),
    ],
)
def test_damaged_parts_are_noticed(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    out = tmp_path / "lists.jsonl"
    stopped(shop, out, monkeypatch)
    (tmp_path / "lists.jsonl.parts" / name).write_text(content, "latin-1")
    with pytest.raises(WhimbrelError, match=r"remove (it|this folder) to start again"):
        recommend_all(shop, out, ListRequest(k=3))
    assert not out.exists()


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_file(shop: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'whimbrel[ray]'")
    program = "import sys; from whimbrel.agent.cli.main import main; sys.argv[0] = 'whimbrel'; main()"
    command = ["recommend", "--all-users", "--store", str(shop), "--out", str(tmp_path / "ray.jsonl"), "--ray", "local"]
    environment = dict(os.environ, RAY_USAGE_STATS_ENABLED="0")
    subprocess.run(
        [sys.executable, "-c", program, *command], check=True, capture_output=True, timeout=180, env=environment
    )
    recommend_all(shop, tmp_path / "one.jsonl")
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()


def test_what_cannot_be_done_is_refused_before_any_work(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in one of \.jsonl, \.jsonl\.gz, \.parquet"):
        recommend_all(shop, tmp_path / "lists.csv")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        recommend_all(shop, tmp_path / "folder.jsonl")
    with pytest.raises(ConfigError, match="one process keeps a budget"):
        recommend_all(shop, tmp_path / "lists.jsonl", ListRequest(budget=Budget(usd=1)), workers=Workers(2))
    with pytest.raises(StoreError, match="no store"):
        recommend_all(tmp_path / "absent", tmp_path / "lists.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.jsonl"]


def test_the_command_prints_one_document_or_words(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["whimbrel", "recommend", "--store", str(shop), *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        status = ended.value.code
        return status if isinstance(status, int) else 1, *capsys.readouterr()

    out, names = tmp_path / "lists.jsonl", tmp_path / "users.txt"
    status, printed, _ = run("--all-users", "--out", out, "--k", 2, "--json")
    document = json.loads(printed)
    assert status == 0
    assert set(document) == {"users", "recommendations", "seconds", "out", "failed", "unknown"}
    assert (document["users"], document["out"], document["failed"]) == (USERS, str(out), 0)
    names.write_text("u1\nnobody\n")
    status, printed, told = run("--all-users", "--out", out, "--users", names)
    assert status == 0
    assert printed.startswith(f"1 user, {len(documents(out)[0]['recommendations'])} recommendations: {out}")
    assert "users a second" in printed
    assert "does not know 1 users" in told
    for arguments, message in (
        (["u1", "--all-users", "--out", out], "not both"),
        (["--all-users"], "needs a file"),
        (["u1", "--out", out], "--all-users: add it"),
        (["--all-users", "--out", out, "--ray", "local"], "Ray"),
    ):
        if "--ray" in arguments and not _lacks_ray():
            continue
        status, _, told = run(*arguments)
        assert status == 1
        assert message in told
    status, _, told = run()
    assert status == 2
    assert "Missing argument 'USER'." in told


def _lacks_ray() -> bool:
    try:
        import ray  # noqa: F401
    except ImportError:
        return True
    return False
