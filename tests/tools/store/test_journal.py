"""Appended events: none is lost, whoever writes at once and wherever a fold is stopped."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from whimbrel.evals.studies.chroma_server import chroma_server
from whimbrel.tools.errors import StoreError
from whimbrel.tools.records import Occurrence
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store import store as module
from whimbrel.tools.store.journal import Journal
from whimbrel.tools.store.lease import Lease
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.store.user_records import UserRecords

START = 1_700_000_000.0


@pytest.fixture
def location(shop_csv: Path, tmp_path: Path) -> Path:
    ingest(open_source(str(shop_csv)), tmp_path / "store")
    return tmp_path / "store"


def event(store: Store, number: int) -> Occurrence:
    item_ids = store.log.item_ids
    return Occurrence(START + number, item_ids[number % len(item_ids)], "click")


def recorded(store: Store, user: str = "new") -> tuple[list[float], list[float]]:
    """Return the times of a user's new events in the history, and in the log."""
    log = store.log
    row = log.user_rows[user]
    in_log = [float(moment) for of, moment in zip(log.user, log.time, strict=True) if of == row and moment >= START]
    return [e.time for e in store.history(user) if e.time >= START], in_log


def test_threads_that_write_for_one_person_lose_nothing(location: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDED_AT", 30)
    with open_store(location) as store:

        def write(first: int) -> None:
            for number in range(first, 96, 8):
                store.add("new", event(store, number))

        threads = [threading.Thread(target=write, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = [START + number for number in range(96)]
        assert recorded(store) == (expected, expected)
        assert len(store._journal) < 96  # it was folded meanwhile
    for _ in range(2):
        with open_store(location) as store:
            assert recorded(store) == (expected, expected)
            store.fold()
            for file in location.glob("log-*.npz"):
                file.unlink()


def test_an_event_counts_once_however_often_it_is_recorded(location: Path) -> None:
    with open_store(location) as store:
        for _ in range(2):
            store.add("new", event(store, 1))
            store.fold()
            store.add("new", event(store, 1))
        assert recorded(store) == ([START + 1], [START + 1])
        assert len(store._journal) == 0


@pytest.mark.parametrize("step", [(UserRecords, "merge"), (Journal, "remove")], ids=["before", "after"])
def test_a_fold_that_is_stopped_loses_and_repeats_nothing(
    step: tuple[type, str], location: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with open_store(location) as store:
        for number in range(3):
            store.add("new" if number else "u1", event(store, number))
        with monkeypatch.context() as patched:
            patched.setattr(*step, stop)
            with pytest.raises(KeyboardInterrupt):
                store.fold()
        store.add("new", event(store, 3))
    expected = [START + 1, START + 2, START + 3]
    with open_store(location) as store:
        assert recorded(store) == (expected, expected)
        assert recorded(store, "u1") == ([START], [START])
        assert store.fold() == 4
        assert recorded(store) == (expected, expected)


def test_a_reaction_that_is_withdrawn_is_gone_from_the_journal_and_from_the_records(location: Path) -> None:
    with open_store(location) as store:
        for number in range(3):
            store.add("new", event(store, number))
            if number == 0:
                store.fold()
        for number in (0, 2):
            assert store.remove("new", event(store, number).key)
        assert not store.remove("new", event(store, 9).key)
        assert recorded(store) == ([START + 1], [START + 1])
    with open_store(location) as store:
        assert recorded(store) == ([START + 1], [START + 1])


def test_processes_of_one_server_see_what_the_others_write_and_forget(
    shop_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "NOTICED_AFTER", 0.0)
    with chroma_server(tmp_path / "server") as server:
        ingest(open_source(str(shop_csv)), server.address)
        # Two stores in one process share nothing but the server.
        with open_store(server.address) as one, open_store(server.address) as other:
            assert one.log.end == other.log.end
            one.add("new", event(one, 1))
            other.add("new", event(other, 2))
            for store in (one, other):
                store.refresh()
                assert recorded(store) == ([START + 1, START + 2], [START + 1, START + 2])
            one.fold()
            other.add("new", event(other, 3))
            for store in (one, other):
                store.refresh()
                assert recorded(store)[1] == recorded(store)[0] == [START + 1, START + 2, START + 3]
            other.forget("new")
            one.refresh()
            assert "new" not in one.log.user_rows
            one.fold()
        with open_store(server.address) as store:
            assert "new" not in store.log.user_rows


def test_one_process_of_a_server_holds_the_lease_and_the_others_wait(
    shop_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with chroma_server(tmp_path / "server") as server:
        ingest(open_source(str(shop_csv)), server.address)
        with open_store(server.address) as store:
            one, other = (Lease(store._database, shared=True) for _ in range(2))
            with one.held(wait=0), one.held(wait=0):  # a thread may take it again
                with pytest.raises(StoreError, match="being written by another process"), other.held(wait=0.1):
                    pass
                store.add("new", event(store, 1))  # to append needs no lease
            with other.held(wait=0):
                pass
            for jump in (1800.0, -86_400.0):
                with one.held(wait=0), monkeypatch.context() as changed:
                    clock = SimpleNamespace(
                        time=lambda jump=jump: time.time() + jump, monotonic=time.monotonic, sleep=time.sleep
                    )
                    changed.setattr("whimbrel.tools.store.lease.time", clock)
                    with pytest.raises(StoreError, match="being written by another process"), other.held(wait=0):
                        pass
            monkeypatch.setattr("whimbrel.tools.store.lease.SECONDS", 0.5)
            number = one._take(time.monotonic())  # as a process that is then killed
            assert number > 1
            with other.held(wait=5):
                pass
