"""Locks: one process at a time, and none after the process that held it."""

import subprocess
import sys
from pathlib import Path

import pytest

from whimbrel.tools.errors import StoreError
from whimbrel.tools.files.locks import exclusive

HOLD = (
    "import sys; from pathlib import Path; from whimbrel.tools.files.locks import exclusive;"
    "lock = exclusive(Path(sys.argv[1]), 'run folder'); lock.__enter__(); print('held', flush=True); input()"
)


def test_a_folder_in_use_names_its_process_and_is_free_when_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=rf"run folder .* in use by process {holder.pid} .*; or wait"),
            exclusive(folder, "run folder", advice="; or wait"),
        ):
            pass
        holder.kill()
    with exclusive(folder, "run folder"):
        assert (folder / "holder.json").is_file()
    assert not (folder / "holder.json").exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be made"), exclusive(tmp_path / "file" / "store", "store"):
        pass
