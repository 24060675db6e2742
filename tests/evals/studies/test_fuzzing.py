"""Mutations are the same for the same seed, and every kind of fault is counted and kept with its input."""

import gzip
import io
import json
import sys
import zipfile
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from whimbrel.evals.studies import door_process
from whimbrel.evals.studies.door_process import Fault, Task
from whimbrel.evals.studies.fuzzed_doors import DOORS, check_door, open_door
from whimbrel.evals.studies.fuzzing import fuzzing_markdown, measure_fuzzing
from whimbrel.evals.studies.mutations import mutated
from whimbrel.tools.errors import ConfigError

TOY = """
import os
from itertools import count
from pathlib import Path
from whimbrel.evals.studies.fuzzed_door import Door
from whimbrel.tools.errors import DataError

def toy(folder):
    def enter(folder):
        assert sorted(path.name for path in folder.iterdir()) in ([], ["a.txt"])
        number = next(numbers)
        if number == 3 and not MARK.exists():
            MARK.touch()
            {fault}
        if number % 2:
            raise DataError("odd")
    return Door([{"a.txt": b"one"}, {"a.txt": b"two"}], enter)

MARK, numbers = Path(__file__).with_suffix(".mark"), count()
"""
"""A door whose fourth input is a fault, once."""


@pytest.mark.parametrize("name", ["log.csv", "log.json", "log.jsonl", "log.csv.gz", "log.npz"])
def test_mutations_follow_from_the_seed_and_keep_archives_whole(name: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.json", json.dumps({"a": [1, {"b": "x"}]}))
    data = {
        "csv": b"user,item\n1,2\n3,4\n",
        "json": json.dumps([{"user": 1}, {"user": [2, None]}]).encode(),
        "jsonl": b'{"user": 1}\n{"user": 2}\n',
        "gz": gzip.compress(b"user,item\n1,2\n", mtime=0),
        "npz": packed.getvalue(),
    }[name.rpartition(".")[2]]
    changed = [mutated([{name: data}], Random(number)) for number in range(200)]
    assert changed == [mutated([{name: data}], Random(number)) for number in range(200)]
    texts = {files.get(name, b"") for files in changed}
    assert len(texts) > 100
    if name == "log.npz":
        assert sum(map(is_whole, texts)) > 50


def is_whole(data: bytes) -> bool:
    """Whether bytes are an archive whose checksums hold."""
    try:
        return zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError):
        return False


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("raise KeyError('lost')", "traceback", "KeyError: 'lost'"),
        (
            "open('/no/such/file')",
            "traceback",
            "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'",
        ),
        ("while True: pass", "hang", "SIGPROF"),
        ("os.abort()", "death", "SIGABRT"),
    ],
)
def test_a_fault_is_counted_and_its_input_kept(
    fault: str, kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"toy_{kind}_{len(fault)}"
    (tmp_path / f"{name}.py").write_text(TOY.replace("{fault}", fault))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (outcome,) = measure_fuzzing([f"{name}:toy"], 0.5, out=tmp_path / "out", hang_seconds=1)
    assert (outcome.tracebacks, outcome.hangs, outcome.deaths) == (
        kind == "traceback",
        kind == "hang",
        kind == "death",
    )
    (found,) = outcome.faults
    assert (found.kind, found.number, found.words) == (kind, 3, words)
    kept = tmp_path / "out" / f"{name}:toy" / f"3-{kind}"
    expected = mutated([{"a.txt": b"one"}, {"a.txt": b"two"}], Random(f"0 {name}:toy 3"))
    assert {path.name: path.read_bytes() for path in (kept / "input").iterdir()} == expected
    assert f"{kind} at" in fuzzing_markdown([outcome])
    assert outcome.accepted + outcome.refused + len(outcome.faults) == outcome.inputs >= 4


def test_too_much_memory_is_a_fault_and_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_process, "MOST_MEMORY", 1)
    messages = list[object]()
    receiver = SimpleNamespace(send=messages.append)
    with pytest.raises(SystemExit):
        door_process._give_inputs(Task("completions", 1.0, 0, 7, 1.0, tmp_path), receiver)  # type: ignore[arg-type]
    _, fault = messages
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.number) == ("memory", 6)


def test_an_unknown_door_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'window': give .*csv, jsonl"):
        check_door("window")


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet", "spark", "movielens", "amazon", "mind", "options"])
def test_the_first_inputs_of_a_source_are_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHIMBREL_DATA", raising=False)
    assert read_seeds(name, tmp_path) > 0


@pytest.mark.parametrize("name", ["cells", "completions", "policy", "talks"])
def test_the_first_inputs_of_other_doors_are_read(name: str, tmp_path: Path) -> None:
    assert read_seeds(name, tmp_path) > 0
    assert name in DOORS


def read_seeds(name: str, folder: Path) -> int:
    """Give a door its unchanged first inputs. Return how many were accepted."""
    door, accepted = open_door(name, folder / "door"), 0
    for number, files in enumerate(door.seeds):
        for file, data in files.items():
            path = folder / f"input-{number}" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            door.enter(folder / f"input-{number}")
            accepted += 1
        except door.refusals:
            continue
    return accepted
