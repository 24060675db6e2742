"""The process of a door: it gives inputs to the door, one after the other, and notes what becomes of each.

A hang ends the process with a signal, and so does a crash. `faulthandler` then writes where it happened.
"""

import faulthandler
import os
import re
import resource
import shutil
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from whimbrel.evals.studies.mutations import mutated

WAITS = 6
"""An input also hangs if it waits this many times as long as it may compute."""
MOST_MEMORY, MOST_ADDRESSES = 2 << 30, 16 << 30
"""Most bytes of memory, and of addresses, which libraries reserve in plenty."""
INPUT, NUMBER, FAULTS, ERRORS = "input", "number", "faults", "stderr"
"""In the folder of the process: the present input and its number, the inputs of faults, and the error stream."""
_HERE = ("/studies/fuzzed", "/studies/door_process")


@dataclass(frozen=True)
class Fault:
    """An input that ended in neither a value nor an error that a person can act on.

    Attributes:
        door: The door.
        number: The number of the input.
        kind: `traceback`, `hang`, `death` or `memory`.
        place: Where in this package it happened; "" if that is not known.
        words: The last line of the traceback, or what ended the process.
    """

    door: str
    number: int
    kind: str
    place: str
    words: str


class Counts(NamedTuple):
    """What became of the inputs since the last message.

    Attributes:
        next: The number of the next input.
        accepted: Inputs that gave a value.
        refused: Inputs that gave an error.
        seconds: Seconds of the processor since the process began to give inputs.
        peak_bytes: The most memory so far.
    """

    next: int
    accepted: int
    refused: int
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Task:
    """What a process does.

    Attributes:
        door: The name of the door.
        seconds: How many seconds of the processor the inputs may take.
        seed: The seed of the mutations.
        first: The number of the first input.
        hang_seconds: An input hangs if it takes more seconds of the processor.
        folder: The folder of the process.
    """

    door: str
    seconds: float
    seed: int
    first: int
    hang_seconds: float
    folder: Path


def run_door(task: Task, messages: Connection) -> None:
    """Give inputs to a door, and send `Counts` and each `Fault`."""
    # A door may import numpy, which reads these when it is imported.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", XDG_CACHE_HOME=str(task.folder / "cache"))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    socket.socket.connect = _only_here(socket.socket.connect)  # type: ignore[method-assign]
    warnings.simplefilter("ignore")
    with (task.folder / ERRORS).open("w") as errors, Path(os.devnull).open("w") as nothing:
        faulthandler.enable(errors)
        for number in (signal.SIGPROF, signal.SIGALRM):
            faulthandler.register(number, errors, chain=True)
        with redirect_stdout(nothing), redirect_stderr(errors):
            _give_inputs(task, messages)


def _give_inputs(task: Task, messages: Connection) -> None:
    from whimbrel.evals.studies.fuzzed_doors import open_door

    door = open_door(task.door, task.folder / "door")
    started, accepted, refused, known = time.process_time(), 0, 0, set[str]()
    for number in count(task.first):
        used, peak = time.process_time() - started, _peak_bytes()
        # They are sent before each input, since it may end the process.
        messages.send(Counts(number, accepted, refused, used, peak))
        accepted, refused = 0, 0
        if peak > MOST_MEMORY:
            messages.send(Fault(task.door, number - 1, "memory", "", f"{peak >> 20:,} MB"))
            sys.exit(1)  # the peak never falls, so a new process goes on
        if used >= task.seconds:
            return
        files = mutated(door.seeds, Random(f"{task.seed} {task.door} {number}"))  # noqa: S311
        _write(files, task.folder / INPUT)
        (task.folder / NUMBER).write_text(str(number))
        _wait(task.hang_seconds)
        try:
            door.enter(task.folder / INPUT)
            accepted += 1
        except door.refusals:
            refused += 1
        except BaseException as error:  # a panic of a library in Rust is no Exception
            _wait(0)
            fault = _fault(task.door, number, error)
            if fault.place not in known:
                known.add(fault.place)
                _write(files, task.folder / FAULTS / str(number))
                words = "".join(traceback.format_exception(error))
                (task.folder / FAULTS / f"{number}.txt").write_text(words, "utf-8", "replace")
            messages.send(fault)
        finally:
            _wait(0)


def _wait(hang_seconds: float) -> None:
    """Let a signal end the process after so many seconds of the processor or, in case it waits, a longer time."""
    signal.setitimer(signal.ITIMER_PROF, hang_seconds)
    signal.setitimer(signal.ITIMER_REAL, WAITS * hang_seconds)


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _peak_bytes() -> int:
    # On Linux, `ru_maxrss` of a new process begins with what its parent took, such as a test session with models.
    status = Path("/proc/self/status")
    if status.is_file() and (peak_kb := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak_kb[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _fault(door: str, number: int, error: BaseException) -> Fault:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/whimbrel/" in frame.filename]
    own = [frame for frame in frames if not any(part in frame.filename for part in _HERE)]
    where = f"{own[-1].filename.rpartition('/whimbrel/')[2]}:{own[-1].lineno}" if own else ""
    lines = traceback.format_exception_only(error)[-1].strip().splitlines() or [""]
    return Fault(door, number, "traceback", f"{where} {type(error).__name__}".strip(), lines[0][:200])


def place_of_end(words: str) -> str:
    """Return the innermost line of this package in what `faulthandler` wrote; "" if there is none."""
    lines = [line.strip() for line in words.splitlines() if "/whimbrel/" in line]
    own = [line for line in lines if not any(part in line for part in _HERE)]
    return own[0].rpartition("/whimbrel/")[2].replace('", line ', ":") if own else ""


def _only_here(connect: Any) -> Any:
    """Return the function, but let it connect to this machine only."""

    def connect_here(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"no network here: {address!r}")
        connect(self, address)

    return connect_here
