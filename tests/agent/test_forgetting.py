"""A forgotten person: no byte of what only they did is left in any file, and everybody else is served as before."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from whimbrel.agent.agent import Agent
from whimbrel.agent.learning.fit import fit_store
from whimbrel.evals.studies.chroma_server import chroma_server
from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.chroma import purge_server
from whimbrel.tools.store.store import open_store

AT = "2020-12-01"
WORDS = ("zebedee@example.org", "Quixotic orrery", "Orreries", "lighthouse", "1606781234")
"""The id, the title, the topic, the situation and the time that are the person's alone."""


@pytest.fixture
def store(shop_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    person, title, topic, place, time = WORDS
    rows = [f"{person},{title},{topic},{time},purchase,{place}", f"{person},{title},{topic},never,purchase,{place}"]
    # They also met what others met.
    rows += [f"{person},Oak table {n},Furniture,{1_600_000_000 + n},purchase,{place}" for n in range(3)]
    source = tmp_path / "log.csv"
    source.write_text(shop_csv.read_text() + "\n".join(rows) + "\n")
    ingest(open_source(str(source)), tmp_path / "store")
    source.unlink()
    return tmp_path / "store"


def leaks(*folders: Path) -> list[tuple[str, str]]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [(path.name, word) for path in files for word in WORDS if word.encode() in path.read_bytes()]


def lists(store: Path) -> dict[str, list[str]]:
    with Agent.open(store, llm="none") as agent:
        users = [user for user in agent.store.log.user_ids if user != WORDS[0]]
        return {user: [e.item_id for e in agent.recommend(user, AT).recommendations] for user in users[:20]}


def test_no_byte_of_a_forgotten_person_is_left_and_the_receipt_says_what_was_removed(
    store: Path, tmp_path: Path
) -> None:
    person = WORDS[0]
    with open_store(store) as opened:
        fit_store(opened)
    with Agent.open(store, llm="none") as agent:
        chat = agent.chat(person, AT, session="evening")
        chat.say("something like an orrery")
        agent.feedback(person, agent.store.history(person)[-1].item_id, "click", AT)
    assert {name for name, _ in leaks(store)} >= {"chroma.sqlite3", "log.csv.jsonl"}
    with Agent.open(store, llm="none") as agent:
        receipt = agent.forget(person)
    assert receipt.events == 5
    assert receipt.removed["conversations"] == receipt.removed["rejected rows"] == receipt.removed["items"] == 1
    assert receipt.removed["topics"] == 1
    assert leaks(store, tmp_path / "cache") == []
    assert json.loads(receipt.model_dump_json())["user_id"] == person
    with Agent.open(store, llm="none") as agent, pytest.raises(DataError, match="no user"):
        agent.recommend(person, AT)


def test_an_item_that_others_met_forgets_when_the_person_met_it(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "more.csv"
    first, later = "1500000123.25", "1500000999.5"
    source.write_text(f"user,title,time\n{WORDS[0]},Brass lamp,{first}\nother,Brass lamp,{later}\n")
    ingest(open_source(str(source)), store)
    with open_store(store) as opened:
        opened.forget(WORDS[0])
    with open_store(store) as opened:
        item_id = next(item for item in opened.log.item_ids if opened.items([item])[item].title == "Brass lamp")
        assert opened.item_records([item_id])[item_id].known_since == float(later)
    files = [path for path in store.rglob("*") if path.is_file()]
    assert not [path for path in files if first.encode() in path.read_bytes()]


def test_a_purged_server_holds_no_byte_of_a_forgotten_person(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "again.csv"
    source.write_text(
        f"user,title,topics,time,place\n{','.join(WORDS[:3])},{WORDS[4]},{WORDS[3]}\nother,Chair,Chairs,1,home"
    )
    with chroma_server(tmp_path / "server") as server:
        address = f"{server.address}/shop"
        ingest(open_source(str(source)), address)
        source.unlink()
        with Agent.open(address, llm="none") as agent:
            agent.forget(WORDS[0])
        server.stop()
        assert leaks(tmp_path / "server")
        assert purge_server(tmp_path / "server") == 1
        assert leaks(tmp_path / "server", tmp_path / "cache") == []
        server.start()
        with open_store(address) as served:
            assert [event.title for event in served.history("other")] == ["Chair"]
    with pytest.raises(StoreError, match="a store of its own"):
        purge_server(store)


def test_a_damaged_line_of_rejected_rows_that_names_the_person_is_removed_and_others_stay(store: Path) -> None:
    rejects = next((store / "rejects").glob("*.jsonl"))
    others = b'{"row": {"user": "u1", "title": "\xff"}\n' + b"[" * 100_000 + b"\n"
    rejects.write_bytes(rejects.read_bytes() + f'{{"user": "{WORDS[0]}", \n'.encode() + others)
    with open_store(store) as opened:
        opened.forget(WORDS[0])
    assert rejects.read_bytes() == others


def test_no_vector_of_a_forgotten_person_or_of_what_only_they_met_is_left(store: Path) -> None:
    with open_store(store) as opened:
        item = next(item for item in opened.items(opened.log.item_ids).values() if item.title == WORDS[1])
        vector = opened.item_vectors([item.item_id])[item.item_id]
        opened.forget("u1")  # so that the index is written
    assert holds(store, vector[8:16])
    with open_store(store) as opened:
        opened.forget(WORDS[0])
    assert not holds(store, vector[8:16])


def holds(folder: Path, numbers: NDArray[np.float32]) -> bool:
    """Return whether an index holds these numbers in a row. Chroma scales vectors, so they differ in the last digit."""
    for path in folder.glob("*/*.bin"):
        for shift in range(4):
            content = path.read_bytes()[shift:]
            floats = np.frombuffer(content[: len(content) // 4 * 4], dtype=np.float32)
            if len(floats) >= len(numbers):
                windows = np.nan_to_num(sliding_window_view(floats, len(numbers)))
                if (np.abs(windows - numbers) < 1e-5).all(axis=1).any():
                    return True
    return False


def test_the_lists_of_the_others_are_those_of_a_store_that_never_knew_the_person(
    store: Path, shop: Path, tmp_path: Path
) -> None:
    with open_store(store) as opened:
        opened.forget(WORDS[0])
    assert lists(store) == lists(shop)


def test_a_purge_that_was_stopped_is_completed_when_the_store_is_closed_next(store: Path) -> None:
    program = (
        "import os, sys; from whimbrel.tools.store.store import open_store; store = open_store(sys.argv[1]);"
        "store.forget(sys.argv[2]); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(store), WORDS[0]], check=False).returncode == -9
    assert leaks(store)
    with open_store(store):
        pass
    assert leaks(store) == []


def test_a_forget_that_was_stopped_after_the_events_leaves_no_private_item(store: Path) -> None:
    program = (
        "import os, sys; from whimbrel.tools.store.store import Store, open_store; store = open_store(sys.argv[1]);"
        "Store._remove_private_items = lambda self: os.kill(os.getpid(), 9); store.forget(sys.argv[2])"
    )
    assert subprocess.run([sys.executable, "-c", program, str(store), WORDS[0]], check=False).returncode == -9
    with open_store(store) as opened:
        assert WORDS[0] not in opened.log.user_ids
        assert WORDS[1] not in {item.title for item in opened.items(opened.log.item_ids).values()}
        assert WORDS[2] not in opened.topic_names()
    assert leaks(store) == []
