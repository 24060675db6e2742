"""Measure whether a store keeps what it acknowledged: many writers at once, on a folder and a server, and killed ones.

Each writer is a process that notes an event after the store has acknowledged it (see `durability_writer`). After each
trial the store is opened again. What was noted must be in the histories and in the log, each event once, and also when
the log is built again from the records.
"""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from whimbrel.evals.studies.chroma_server import ChromaServer, chroma_server
from whimbrel.evals.studies.killed_commands import killed_evaluations, killed_fits, killed_talks
from whimbrel.evals.studies.scale import Shop, synthetic_source
from whimbrel.tools.errors import StoreError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.clients import READING_SECONDS
from whimbrel.tools.store.store import open_store

SHOP = Shop(items=300, events=4000)
THREADS, PROCESSES = 16, 4
PEOPLE = (1, 100)
FOLDED_AT = 200
"""The journal is folded often, so that writers and kills meet it."""
WAIT_SECONDS = 600


@dataclass(frozen=True)
class Trial:
    """What one trial left.

    Attributes:
        name: What was tried.
        runs: How many times.
        acknowledged: The number of acknowledged events of all runs. Killed fits and evaluations count as one each.
        lost: How many of them no history has, or what is not whole.
        not_in_log: How many of them the log lacks.
        repeated: How many events the log has more than once.
        seconds: The time of all runs.
    """

    name: str
    runs: int
    acknowledged: int
    lost: int
    not_in_log: int
    repeated: int
    seconds: float


def measure_durability(events: int, kills: int, *, seed: int = 0, progress: Progress | None = None) -> list[Trial]:
    """Run all trials on a made-up shop.

    Args:
        events: The number of events of each trial without kills.
        kills: How many processes of each kind are killed: writers, ingestions, fits, conversations and evaluations.
        seed: The seed of the shop and of the moments of the kills.
        progress: Shows the progress.
    """
    progress = progress or NoProgress()
    progress.step("Writing at once", 2 * len(PEOPLE))
    trials = list[Trial]()
    with TemporaryDirectory(prefix="whimbrel-") as name:
        folder = Path(name)
        for people in PEOPLE:
            location = _ingested(folder / f"threads-{people}", seed)
            trials.append(_written(f"{THREADS} threads, {people} people, folder", location, folder, events, people))
            progress.advance(1)
        with chroma_server(folder / "server") as server:
            for people in PEOPLE:
                location = _ingested(f"{server.address}/{people}", seed)
                name = f"{PROCESSES} processes, {people} people, server"
                trials.append(_written(name, location, folder, events, people, processes=PROCESSES))
                progress.advance(1)
            progress.step("Failing servers", kills)
            location = _ingested(f"{server.address}/failing", seed)
            trials.append(_with_failing_server(server, location, folder, kills, seed, progress))
        progress.step("Killing writers", kills)
        trials.append(_killed(_ingested(folder / "killed", seed), folder, kills, seed, progress))
        progress.step("Killing ingestions", kills)
        trials.append(_killed_ingestions(folder, kills, seed, progress))
        trials += _killed_commands(folder, kills, seed, progress)
    return trials


def _killed_commands(folder: Path, kills: int, seed: int, progress: Progress) -> list[Trial]:
    """Kill commands (see `killed_commands`). `lost` counts what is not whole afterwards."""
    location, trials = _ingested(folder / "commands", seed), list[Trial]()
    studies: Mapping[str, Callable[[], tuple[int, int]]] = {
        "fit killed": lambda: killed_fits(location, kills, seed, progress),
        "conversation killed": lambda: killed_talks(location, kills, seed, progress),
        "evaluation killed, then completed": lambda: killed_evaluations(location, folder, kills, seed, progress),
    }
    for name, study in studies.items():
        progress.step(name.capitalize(), kills)
        started = time.perf_counter()
        count, lost = study()
        trials.append(Trial(name, kills, count, lost, 0, 0, round(time.perf_counter() - started, 1)))
    return trials


def _ingested(location: str | Path, seed: int) -> str:
    ingest(synthetic_source(SHOP, seed), location)
    return str(location)


def _written(name: str, location: str, folder: Path, events: int, people: int, *, processes: int = 1) -> Trial:
    """Let processes write at once, each with its threads, and look at what is stored."""
    notes = [folder / f"{people}-{processes}-{number}.notes" for number in range(processes)]
    started, share, threads = time.perf_counter(), events // processes, THREADS // processes
    writers = [_writer(location, path, number * share, share, people, threads) for number, path in enumerate(notes)]
    for writer in writers:
        if writer.wait(WAIT_SECONDS):
            raise StoreError(f"a writer of {name!r} failed")
    return _checked(name, 1, location, notes, time.perf_counter() - started)


def _writer(
    location: str, notes: Path, first: int, count: int, people: int, threads: int, *, refusals: bool = False
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "whimbrel.evals.studies.durability_writer", location, str(notes)]
    numbers = map(str, (first, count, people, threads, FOLDED_AT, int(refusals)))
    return subprocess.Popen([*command, *numbers], stdout=subprocess.PIPE, text=True)  # noqa: S603  # own command


def _with_failing_server(
    server: ChromaServer, location: str, folder: Path, failures: int, seed: int, progress: Progress
) -> Trial:
    """Let processes write while their server is killed and started again, and while it hangs, in turn."""
    draw, started = random.Random(seed), time.perf_counter()  # noqa: S311
    notes = [folder / f"failing-{number}.notes" for number in range(PROCESSES)]
    writers = [
        _writer(location, path, 1_000_000 * number, 1_000_000, 100, THREADS // PROCESSES, refusals=True)
        for number, path in enumerate(notes)
    ]
    for writer in writers:
        if writer.stdout:
            writer.stdout.readline()
    for number in range(failures):
        time.sleep(draw.uniform(0.5, 2.5))
        if number % 2:
            with server.hanging():
                time.sleep(draw.uniform(0.5, 2 * READING_SECONDS))
        else:
            server.kill()
            time.sleep(draw.uniform(0.0, 2.0))
            server.start()
        progress.advance(1)
    for writer in writers:
        if writer.poll() is not None:
            raise StoreError("a writer ended while its server failed")
        writer.kill()
        writer.communicate()
    name = f"{PROCESSES} processes, server killed or hanging"
    return _checked(name, failures, location, notes, time.perf_counter() - started)


def _killed(location: str, folder: Path, kills: int, seed: int, progress: Progress) -> Trial:
    """Kill one writer after the other on the same store, each at a random moment."""
    draw, notes, started = random.Random(seed), folder / "killed.notes", time.perf_counter()  # noqa: S311
    for number in range(kills):
        writer = _writer(location, notes, 1_000_000 * (number + 1), 1_000_000, 100, THREADS)
        with writer:
            _kill_after_begin(writer, draw.uniform(0.0, 2.0))
        progress.advance(1)
    return _checked("writer killed, folder", kills, location, [notes], time.perf_counter() - started)


def _kill_after_begin(process: "subprocess.Popen[str]", seconds: float) -> None:
    """Kill a process so many seconds after it printed a line."""
    if process.stdout:
        process.stdout.readline()
    time.sleep(seconds)
    process.kill()


def _killed_ingestions(folder: Path, kills: int, seed: int, progress: Progress) -> Trial:
    """Kill ingestions of a source into a store that has feedback, then complete the last one."""
    location, notes, started = folder / "ingested", folder / "ingested.notes", time.perf_counter()
    _ingested(location, seed)
    if _writer(str(location), notes, 0, 100, 10, 1).wait(WAIT_SECONDS):
        raise StoreError("the writer before the ingestions failed")
    draw = random.Random(seed)  # noqa: S311
    program = (
        "import sys; from whimbrel.evals.studies.durability import SHOP; "
        "from whimbrel.evals.studies.scale import synthetic_source; from whimbrel.tools.sources.ingest import ingest; "
        "print('begun', flush=True); ingest(synthetic_source(SHOP, int(sys.argv[2])), sys.argv[1])"
    )
    for number in range(kills):
        command = [sys.executable, "-c", program, str(location), str(seed + 1 + number % 3)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ingestion:  # noqa: S603  # own command
            _kill_after_begin(ingestion, draw.uniform(0.0, 3.0))
        progress.advance(1)
    _ingested(location, seed + 1)
    return _checked("ingestion killed, then completed", kills, str(location), [notes], time.perf_counter() - started)


def _checked(name: str, runs: int, location: str, notes: Sequence[Path], seconds: float) -> Trial:
    """Compare what was acknowledged with what is stored, before and after the log is built again."""
    lines = [line for path in notes for line in path.read_text("utf-8").splitlines()]
    acknowledged = {(str(person), float(moment)) for person, moment in map(json.loads, lines)}
    lost = not_in_log = repeated = 0
    for is_rebuilt in (False, True):
        with open_store(location) as store:
            if is_rebuilt:
                store.fold()
                for path in store.folder.glob("log-*.npz"):
                    path.unlink()
        with open_store(location) as store:
            log = store.log
            known = [person for person in {person for person, _ in acknowledged} if person in log.user_rows]
            stored = {(person, event.time) for person in known for event in store.history(person)}
            in_log = Counter(
                (log.user_ids[user], float(moment)) for user, moment in zip(log.user, log.time, strict=True)
            )
        lost = max(lost, len(acknowledged - stored))
        not_in_log = max(not_in_log, len(acknowledged - in_log.keys()))
        repeated = max(repeated, sum(in_log[event] > 1 for event in acknowledged))
    return Trial(name, runs, len(acknowledged), lost, not_in_log, repeated, round(seconds, 1))


def durability_markdown(trials: Sequence[Trial]) -> str:
    """Return trials as a Markdown table."""
    lines = ["| trial | runs | acknowledged | lost | not in the log | repeated | s |", "|---" * 7 + "|"]
    for trial in trials:
        values = [f"{value:,}" if isinstance(value, int) else str(value) for value in asdict(trial).values()]
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)
