"""Caches of a store: each record is read once, and numbers outlive the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whimbrel.tools.store import caches
from whimbrel.tools.store.caches import NUMBERS_FOLDER, NumberCache, ReadCache


def test_only_absent_records_are_read_and_the_order_is_that_of_the_ids() -> None:
    cache, reads = ReadCache[int](), list[list[str]]()

    def read(ids: list[str]) -> dict[str, int]:
        reads.append(ids)
        return {id_: int(id_) for id_ in ids if id_ != "9"}

    assert list(cache.get(["2", "1", "2"], read).items()) == [("2", 2), ("1", 1)]
    assert list(cache.get(["3", "1", "9"], read).items()) == [("3", 3), ("1", 1)]
    assert reads == [["2", "1"], ["3", "9"]]


def test_a_full_cache_is_emptied_and_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MOST_RECORDS", 2)
    cache = ReadCache[str]()
    for ids in (["a", "b"], ["b", "c"], ["a", "b", "c"]):
        assert cache.get(ids, lambda absent: {id_: id_ for id_ in absent}) == {id_: id_ for id_ in ids}


def test_several_processes_share_numbers_and_kinds_do_not(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from whimbrel.tools.store.caches import NumberCache;"
        "cache = NumberCache(Path(sys.argv[1]), 'k');"
        "[cache.put({f'{sys.argv[2]} {n}': float(n)}) for n in range(50)]; cache.close()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(n)]) for n in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    names = [f"{process} {n}" for process in range(3) for n in range(50)]
    cache, other = NumberCache(tmp_path, "k"), NumberCache(tmp_path, "other")
    assert cache.get(names) == {name: float(name.split()[1]) for name in names}
    assert other.get(names) == {}
    cache.close()
    other.close()


def test_numbers_of_a_folder_that_cannot_be_used_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / NUMBERS_FOLDER).write_text("not a folder")
    cache = NumberCache(tmp_path, "k")
    cache.put({"a": 1.0})
    assert cache.get(["a"]) == {}
    cache.close()


def test_a_damaged_file_of_numbers_is_made_anew(tmp_path: Path) -> None:
    cache = NumberCache(tmp_path, "k")
    cache.put({"a": 1.0})
    cache.close()
    (tmp_path / NUMBERS_FOLDER / "cache.db").write_bytes(os.urandom(4096))
    for _ in range(2):
        cache = NumberCache(tmp_path, "k")
        cache.put({"a": 2.0})
        assert cache.get(["a"]) == {"a": 2.0}
        cache.close()
