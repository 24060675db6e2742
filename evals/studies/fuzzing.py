"""Give mutated input to everything that reads what others wrote, and count what ends in neither a value nor an error.

Each door (see `fuzzed_doors`) runs in a process of its own (see `door_process`). For an input it may return a value or
raise an error that a person can act on. Another exception, a hang, the death of the process, and too much memory are
faults.
"""

import multiprocessing
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from whimbrel.evals.studies.door_process import (
    ERRORS,
    FAULTS,
    INPUT,
    NUMBER,
    Counts,
    Fault,
    Task,
    place_of_end,
    run_door,
)
from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.progress import NoProgress, Progress

HANG_SECONDS = 10.0
START_SECONDS = 1.0
"""What a new process is counted as, after the death of one."""
MOST_PROCESSES = 40
"""A door whose process was ended so many times is left."""
SILENT_SECONDS = 300.0
"""A process that sends nothing for so long is killed. It may take minutes until a door is made on a busy machine."""
_HANGS = (-signal.SIGPROF, -signal.SIGALRM, -signal.SIGKILL)


@dataclass
class Outcome:
    """What became of the inputs of one door.

    Attributes:
        door: The name of the door.
        inputs: How many inputs it got.
        accepted: How many of them gave a value.
        refused: How many of them gave an error that a person can act on.
        tracebacks: How many of them gave another exception.
        hangs: How many of them took too long.
        deaths: How many of them ended the process or took too much memory.
        seconds: The seconds of the processor.
        peak_bytes: The most memory that the process took.
        faults: The first fault of each kind and place.
    """

    door: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    tracebacks: int = 0
    hangs: int = 0
    deaths: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    faults: list[Fault] = field(default_factory=list)


def measure_fuzzing(
    doors: Sequence[str],
    seconds: float,
    *,
    seed: int = 0,
    out: Path | None = None,
    hang_seconds: float = HANG_SECONDS,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Give mutated input to doors, one after the other.

    Args:
        doors: The names of the doors (see `fuzzed_doors.open_door`).
        seconds: How many seconds of the processor each door gets.
        seed: The seed of the mutations.
        out: A folder for the inputs of the faults, each with its traceback; None to keep none.
        hang_seconds: An input hangs if it takes more seconds of the processor, or waits several times as long.
        progress: Shows the progress.

    Raises:
        WhimbrelError: A door cannot be made, or an input for it.
    """
    progress = progress or NoProgress()
    outcomes = list[Outcome]()
    for door in doors:
        progress.step(f"Door {door}", round(seconds))
        outcome, shown = Outcome(door), 0
        for _ in range(MOST_PROCESSES):
            with TemporaryDirectory(prefix="whimbrel-", ignore_cleanup_errors=True) as folder:
                left = seconds - outcome.seconds
                task = Task(door, left, seed, outcome.inputs, hang_seconds, Path(folder))
                is_done = _run(task, outcome, out)
            progress.advance(min(round(outcome.seconds), round(seconds)) - shown)
            shown = min(round(outcome.seconds), round(seconds))
            if is_done or outcome.seconds >= seconds:
                break
        outcomes.append(outcome)
    return outcomes


def _run(task: Task, outcome: Outcome, out: Path | None) -> bool:
    """Run the process of a door until its time is used or an input ends it. Return whether its time is used."""
    spawn = multiprocessing.get_context("spawn")
    receiving, sending = spawn.Pipe(duplex=False)
    process = spawn.Process(target=run_door, args=(task, sending), daemon=True)
    process.start()
    sending.close()
    before, last_fault = outcome.seconds, None
    while receiving.poll(SILENT_SECONDS):
        try:
            message: Counts | Fault = receiving.recv()
        except EOFError:  # the process has ended
            break
        if isinstance(message, Fault):
            last_fault = message
            _note(message, outcome, task, out)
        else:
            outcome.inputs, outcome.seconds = message.next, before + message.seconds
            outcome.accepted, outcome.refused = outcome.accepted + message.accepted, outcome.refused + message.refused
            outcome.peak_bytes = max(outcome.peak_bytes, message.peak_bytes)
    else:
        process.kill()
    process.join()
    if process.exitcode == 0:
        return True
    words = (task.folder / ERRORS).read_text("utf-8", "replace") if (task.folder / ERRORS).is_file() else ""
    status = process.exitcode or 0
    has_told = last_fault is not None and last_fault.kind == "memory"
    if not (task.folder / NUMBER).is_file() or (status > 0 and not has_told):  # a door that exits is caught there
        reason = (words.strip().splitlines() or [f"exit status {status}"])[-1]
        raise WhimbrelError(f"the door {task.door!r} cannot be used: {reason}")
    number = int((task.folder / NUMBER).read_text())
    if not has_told:
        kind = "hang" if status in _HANGS else "death"
        _note(Fault(task.door, number, kind, place_of_end(words), signal.Signals(-status).name), outcome, task, out)
        # A hang has used its time, which was not told. Starting again costs time, too.
        outcome.seconds += task.hang_seconds if kind == "hang" else START_SECONDS
    outcome.inputs = number + 1
    return False


def _note(fault: Fault, outcome: Outcome, task: Task, out: Path | None) -> None:
    """Count a fault. The first one of its kind and place is kept, with its input."""
    outcome.tracebacks += fault.kind == "traceback"
    outcome.hangs += fault.kind == "hang"
    outcome.deaths += fault.kind in ("death", "memory")
    if any((known.kind, known.place) == (fault.kind, fault.place) for known in outcome.faults):
        return
    outcome.faults.append(fault)
    if out is None:
        return
    kept, saved = out / fault.door / f"{fault.number}-{fault.kind}", task.folder / FAULTS / str(fault.number)
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(saved if saved.is_dir() else task.folder / INPUT, kept / INPUT)
    shutil.copyfile(saved.with_suffix(".txt") if saved.is_dir() else task.folder / ERRORS, kept / "traceback.txt")


def fuzzing_markdown(outcomes: Sequence[Outcome]) -> str:
    """Return outcomes as a Markdown table, and below it a line for each fault."""
    columns = ("door", "inputs", "inputs/s", "accepted", "refused", "tracebacks", "hangs", "deaths", "peak MB")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for one in outcomes:
        speed = f"{one.inputs / one.seconds:,.1f}" if one.seconds else "-"
        counts = (one.accepted, one.refused, one.tracebacks, one.hangs, one.deaths, one.peak_bytes >> 20)
        lines.append(f"| {one.door} | {one.inputs:,} | {speed} | {' | '.join(f'{count:,}' for count in counts)} |")
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    lines += [""] * bool(faults)
    lines += [f"- {one.door}, input {one.number}: {one.kind} at {one.place or '?'}: {one.words}" for one in faults]
    return "\n".join(lines)
