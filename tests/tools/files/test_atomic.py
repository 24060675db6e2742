"""Files are written as a whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whimbrel.tools.files.atomic import atomic_write


def test_a_block_that_raises_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "a.json"
    with atomic_write(target) as partial:
        partial.write_text("whole")
        assert not target.exists()
    with pytest.raises(RuntimeError), atomic_write(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_partial_files_of_killed_processes_are_removed_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    of_dead, of_running, of_other = (
        tmp_path / f"a.json.{dead.pid}.1.partial",
        tmp_path / f"a.json.{os.getppid()}.1.partial",
        tmp_path / f"b.json.{dead.pid}.1.partial",
    )
    for partial in (of_dead, of_running, of_other):
        partial.write_text("half")
    with atomic_write(tmp_path / "a.json") as partial:
        partial.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.json", of_running, of_other])
