"""Workers do tasks in order, and one that is killed ends the run with an error."""

import subprocess
import sys
from pathlib import Path

import pytest

from whimbrel.tools.workers import Workers, worker_pool

PROGRAM = """
import os, signal, sys
from whimbrel.tools.workers import Workers, worker_pool

def make(deadly):
    def work(task):
        if task == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return task * task
    return work

def tasks():
    for task in range(40):
        print("begun", task)
        yield task

if __name__ == "__main__":
    with worker_pool(Workers(2), make, (int(sys.argv[1]),)) as work:
        for result in work(tasks()):
            print("done", result)
"""


def run(deadly: int, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"  # a file, since spawned processes import the program
    script.write_text(PROGRAM)
    return subprocess.run([sys.executable, script, str(deadly)], capture_output=True, text=True, timeout=60)


def test_results_come_in_order_and_few_tasks_wait(tmp_path: Path) -> None:
    ended = run(-1, tmp_path)
    assert ended.returncode == 0, ended.stderr
    words = [line.split() for line in ended.stdout.splitlines()]
    assert [int(number) for kind, number in words if kind == "done"] == [task * task for task in range(40)]
    assert [kind for kind, _ in words].index("done") < 10  # eight tasks were handed out before the first result


def test_a_worker_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    ended = run(20, tmp_path)
    assert ended.returncode == 1
    assert "a worker was killed, perhaps for lack of memory" in ended.stderr


def test_one_worker_is_this_process() -> None:
    with worker_pool(Workers(), lambda: str, ()) as work:
        assert list(work([1, 2])) == ["1", "2"]


def test_an_error_when_a_worker_begins_is_raised_once() -> None:
    def make() -> type[str]:
        raise RuntimeError("cannot begin")

    with pytest.raises(RuntimeError, match="cannot begin"), worker_pool(Workers(), make, ()) as work:
        list(work([1]))
