"""The audit log: what was shown to whom and why, before it was shown, and erased with the person."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whimbrel.agent.agent import Agent
from whimbrel.agent.cli.main import build_app
from whimbrel.tools.errors import StoreError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.audit_log import append_to_audit, read_audit, remove_items_from_audit
from whimbrel.tools.store.store import open_store

AT = "2020-12-01"


@pytest.fixture
def store(shop_csv: Path, tmp_path: Path) -> Path:
    ingest(open_source(str(shop_csv)), tmp_path / "store")
    with open_store(tmp_path / "store") as opened:
        opened.settings.set_audited(True)
    return tmp_path / "store"


def said(*words: str) -> str:
    return CliRunner().invoke(build_app(words[0]), list(words), catch_exceptions=False).stdout


def test_every_list_is_logged_with_its_reasons_and_read_by_the_command(store: Path) -> None:
    with Agent.open(store, "none") as agent:
        answer = agent.recommend("u1", AT, k=3)
        agent.chat("u1", AT).open()
        logged = read_audit(agent.store.folder, "u1")
    assert len(logged) == 2
    shown = [(e.rank, e.item_id, e.title, e.explanation) for e in answer.recommendations]
    assert [(e["rank"], e["item_id"], e["title"], e["explanation"]) for e in logged[0]["list"]] == shown
    assert logged[0]["list"][0]["evidence"] == [event.event_id for event in answer.recommendations[0].evidence]
    assert (logged[0]["shift"]["kind"], logged[0]["model"]) == (answer.shift.kind, "none")
    words = said("audit", "u1", "--store", str(store))
    assert all(entry.title in words for entry in answer.recommendations)
    exported = json.loads(said("export", "u1", "--store", str(store), "--json"))
    assert exported["shown"] == logged


def test_a_log_is_erased_with_the_person_and_their_private_items_with_it(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "more.csv"
    source.write_text("user,title,topics,time\nzoe,Quixotic orrery,Orreries,1600000000\nzoe,Green tea,Tea,1600000500\n")
    ingest(open_source(str(source)), store)
    with Agent.open(store, "none") as agent:
        agent.recommend("zoe", AT)
        listed = {e.title for e in agent.recommend("u1", AT, {"query": "an orrery"}).recommendations}
        assert "Quixotic orrery" in listed
        assert agent.forget("zoe").removed["shown lists"] == 1
        assert len(read_audit(store, "u1")) == 1
    for path in (store / "audit").iterdir():
        assert b"orrery" not in path.read_bytes().lower()
        assert b"zoe" not in path.read_bytes()


def test_nothing_is_logged_unless_it_is_turned_on_and_nothing_is_shown_that_cannot_be_logged(store: Path) -> None:
    with Agent.open(store, "none") as agent:
        agent.store.settings.set_audited(False)
        agent.recommend("u1", AT)
        assert not (store / "audit").exists()
        agent.store.settings.set_audited(True)
        (store / "audit").write_text("in the way")
        with pytest.raises(StoreError, match="nothing is shown"):
            agent.recommend("u1", AT)


def test_lines_of_many_threads_are_whole_and_a_cut_one_is_left_out(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda n: append_to_audit(tmp_path, "u", {"n": n, "list": [{"item_id": "x" * 5000}]}), range(200))
        )
    assert sorted(entry["n"] for entry in read_audit(tmp_path, "u")) == list(range(200))
    (file,) = (tmp_path / "audit").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    append_to_audit(tmp_path, "u", {"n": 200, "list": []})
    assert len(read_audit(tmp_path, "u")) == 200
    file.write_text(file.read_text() + '\n{"list": [3]}\n{"list": {}}\n[]')
    assert len(read_audit(tmp_path, "u")) == 200
    remove_items_from_audit(tmp_path, ["x" * 5000])
    assert all(entry["list"] == [] for entry in read_audit(tmp_path, "u"))
