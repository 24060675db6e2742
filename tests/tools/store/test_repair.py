"""Damaged, read-only and full: what a store says then, and what is repaired."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from whimbrel.tools.errors import StoreError
from whimbrel.tools.records import Occurrence
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.store import read_only
from whimbrel.tools.store.repair import check_store, repair_store
from whimbrel.tools.store.seals import SEALS_FILE, Seals
from whimbrel.tools.store.store import Store, open_store

ITEMS, USERS, EVENTS = 40, 12, 300


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an index on disk, since Chroma writes one only after many changes."""
    folder = tmp_path_factory.mktemp("repair") / "shop"
    rows = [
        Row(
            "log",
            n,
            {"user_id": f"u{n % USERS}", "title": f"Thing {n * 7 % ITEMS}", "time": 1.5e9 + n, "topics": "A"},
            n,
        )
        for n in range(EVENTS)
    ]
    ingest(Source("log", rows), folder)
    with open_store(folder) as store:
        store.forget("u0")  # the purge writes each index
    return folder


@pytest.fixture
def shop(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "shop")
    return tmp_path / "shop"


def answers(folder: Path) -> tuple[object, object]:
    with open_store(folder) as store:
        vector = store.item_vectors([store.log.item_ids[0]])[store.log.item_ids[0]]
        return [id_ for id_, _ in store.nearest(vector[None], n=5)[0]], store.history("u1")


def event_of(store: Store) -> Occurrence:
    return Occurrence(2e9, store.log.item_ids[0], "click")


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def largest_index(folder: Path) -> Path:
    return max(folder.glob("*/data_level0.bin"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("name", ["data_level0.bin", "index_metadata.pickle", "header.bin"])
def test_a_flipped_bit_of_an_index_is_named_and_repaired(shop: Path, name: str) -> None:
    before = answers(shop)
    flip(largest_index(shop).with_name(name), 20)
    with pytest.raises(StoreError, match=r"is damaged: .* `whimbrel check --store .* --repair`"):
        answers(shop)
    damages = check_store(shop)
    assert [damage.can_be_repaired for damage in damages] == [True]
    repair_store(shop, damages)
    assert check_store(shop) == []
    assert answers(shop) == before


def test_an_index_that_a_kill_left_in_pieces_is_repaired(shop: Path) -> None:
    before = answers(shop)
    (shop / SEALS_FILE).unlink()  # as after a kill
    largest_index(shop).with_name("index_metadata.pickle").write_bytes(b"")
    damages = check_store(shop)
    assert any(damage.part.startswith("index of") for damage in damages)
    repair_store(shop, damages)
    assert answers(shop) == before


def test_a_damaged_log_is_built_again(shop: Path) -> None:
    before = answers(shop)
    (log,) = shop.glob("log-*.npz")
    flip(log, 500)
    damages = check_store(shop)
    assert [damage.part for damage in damages] == ["log"]
    repair_store(shop, damages)
    assert check_store(shop) == []
    assert answers(shop) == before


def test_a_database_that_cannot_be_read_is_beyond_repair(shop: Path) -> None:
    path = shop / "chroma.sqlite3"
    path.write_bytes(path.read_bytes()[:5000])
    damages = check_store(shop)
    assert [damage.can_be_repaired for damage in damages] == [False]
    with pytest.raises(StoreError, match="backup"):
        repair_store(shop, damages)


def test_a_copy_is_whole_and_its_seals_hold(shop: Path, tmp_path: Path) -> None:
    answers(shop)
    copied = tmp_path / "copied"
    shutil.copytree(shop, copied, copy_function=shutil.copyfile)  # without the times of the files
    assert Seals(copied).broken(whole=True) == []
    assert answers(copied) == answers(shop)


def test_the_command_exits_with_1_until_it_is_repaired(shop: Path) -> None:
    flip(largest_index(shop), 100)
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "check", "--store", str(shop), "--json"]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert (checked.returncode, json.loads(checked.stdout)["damaged"]) == (1, True)
    repaired = subprocess.run([*command, "--repair"], capture_output=True, text=True)
    assert (repaired.returncode, json.loads(repaired.stdout)["damaged"]) == (0, False)
    assert subprocess.run(command, capture_output=True, text=True).returncode == 0


def test_a_folder_that_cannot_be_written_is_read_from_a_copy(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, files = answers(shop), {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    # Root may write everywhere, so the answer of the system is replaced.
    monkeypatch.setattr(read_only.os, "access", lambda path, mode: False)
    assert answers(shop) == before
    with open_store(shop) as store:
        for write in (lambda: store.add("u1", event_of(store)), lambda: store.forget("u1"), store.require_writable):
            with pytest.raises(StoreError, match="its folder is read-only"):
                write()
    assert {path: path.read_bytes() for path in shop.rglob("*") if path.is_file()} == files


def test_a_folder_that_cannot_be_written_is_checked_as_a_copy(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_only.os, "access", lambda path, mode: not Path(path).is_relative_to(shop))
    assert not check_store(shop)
    flip(largest_index(shop), 100)
    damages = check_store(shop)
    assert [damage.can_be_repaired for damage in damages] == [True]
    with pytest.raises(StoreError, match="cannot be repaired: its folder is read-only"):
        repair_store(shop, damages)


def test_a_store_on_a_full_disk_is_read_from_a_copy(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write_bytes = answers(shop), Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.parent == shop:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert answers(shop) == before
    with open_store(shop) as store, pytest.raises(StoreError, match="its disk is full"):
        store.add("u1", event_of(store))


def test_what_a_killed_process_left_is_opened_as_it_is(shop: Path) -> None:
    program = (
        "import os, sys; from whimbrel.tools.store.store import open_store; from whimbrel.tools.records import Occurrence\n"
        "store = open_store(sys.argv[1]); store.add('u1', Occurrence(2e9, store.log.item_ids[0], 'click')); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program, str(shop)], check=False)
    assert not (shop / SEALS_FILE).exists()
    with open_store(shop) as store:
        assert store.history("u1")[-1].time == 2e9
        store.add("u1", Occurrence(2e9 + 1, store.log.item_ids[0], "click"))
    assert check_store(shop) == []
