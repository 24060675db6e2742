"""Fill the disk of a store at several places: what commands say then, and what is left."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from whimbrel.evals.studies.scale import Shop, synthetic_source
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import open_store

SHOP = Shop(items=200, events=2000)
MOST_FREE = 2.5
"""The most free room, as a multiple of the store's size. More room fills up nowhere."""
MOST_SECONDS = 60.0
USER, TALKER = "u3", "talker"
INGESTION = ("ingest", "more.csv")
COMMANDS: Sequence[tuple[str, ...]] = (
    ("recommend", USER, "--llm", "none", "--json"),
    ("chat", TALKER, "--llm", "none", "--json", "--session", "kept"),
    ("fit",),
    ("forget", "u4", "--yes"),
    INGESTION,
    ("recommend", USER, "--llm", "none", "--json"),
)
LINES = "something clear\nI'll take the first\nI'll take the second\n"


@dataclass(frozen=True)
class Fill:
    """What commands did on a disk with so much free room.

    Attributes:
        free: The free room before the first command, in kB.
        failed: How many commands failed.
        tracebacks: How many of them printed a traceback.
        seconds: The longest time of a command.
        acknowledged: The number of items that a person took and saw confirmed.
        lost: How many of them the history lacks once there is room again.
        is_same: Whether the history that no command wrote to is the same once there is room again.
    """

    free: int
    failed: int
    tracebacks: int
    seconds: float
    acknowledged: int
    lost: int
    is_same: bool


def measure_full_disk(places: int, *, seed: int = 0, progress: Progress | None = None) -> list[Fill]:
    """Run commands on a store whose disk has more and more free room.

    Args:
        places: How many amounts of free room are tried.
        seed: The seed of the shop.
        progress: Shows the progress.

    Raises:
        ConfigError: this process may not mount a small file system.
    """
    progress = progress or NoProgress()
    progress.step("Filling disks", places)
    fills = []
    with TemporaryDirectory(prefix="whimbrel-") as name:
        whole, disk = Path(name) / "whole", Path(name) / "disk"
        ingest(synthetic_source(SHOP, seed), whole)
        size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
        for place in range(places):
            free = int(MOST_FREE * size * place / max(places - 1, 1))
            with _disk(disk, 8 * size):
                fills.append(_fill(whole, disk, size, free))
            progress.advance(1)
    return fills


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    mounted = _run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)])
    if mounted.returncode:
        raise ConfigError(f"a small file system cannot be mounted, so run this as root: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        _run(["umount", str(folder)])


def _fill(whole: Path, disk: Path, size: int, free: int) -> Fill:
    store = disk / "store"
    shutil.copytree(whole, store)
    (disk / "more.csv").write_text("user,title,time\n" + "".join(f"new {n},Item {n},{2e9 + n}\n" for n in range(500)))
    used = shutil.disk_usage(disk).used
    (disk / "filling").write_bytes(bytes(8 * size - used - free))
    done, longest, taken = [], 0.0, 0
    for command in COMMANDS:
        started = time.monotonic()
        process = _run(_whimbrel(command, store), LINES, disk)
        longest = max(longest, time.monotonic() - started)
        done.append(process)
        if command[0] == "chat":
            turns = [json.loads(line) for line in process.stdout.splitlines() if line.endswith("}")]
            taken = sum(turn.get("act") == "accept" for turn in turns)
    (disk / "filling").unlink()
    if done[COMMANDS.index(INGESTION)].returncode:  # it says that it must be run again
        _run(_whimbrel(INGESTION, store), folder=disk).check_returncode()
    failed = [process for process in done if process.returncode]
    with open_store(store) as left, open_store(whole) as before:
        history = left.history(TALKER) if TALKER in left.log.user_rows else []
        is_same = left.history(USER) == before.history(USER)
    return Fill(
        free=free // 1000,
        failed=len(failed),
        tracebacks=sum("Traceback" in process.stderr for process in failed),
        seconds=round(longest, 1),
        acknowledged=taken,
        lost=max(0, taken - len(history)),
        is_same=is_same,
    )


def _whimbrel(command: Sequence[str], store: Path) -> list[str]:
    return [sys.executable, "-m", "whimbrel.agent.cli.main", *command, "--store", str(store)]


def _run(command: Sequence[str], lines: str = "", folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603  # own command
        command, input=lines, capture_output=True, text=True, cwd=folder, timeout=MOST_SECONDS, check=False
    )


def full_disk_markdown(fills: Sequence[Fill]) -> str:
    """Return fills as a Markdown table."""
    lines = ["| free kB | failed | tracebacks | longest s | acknowledged | lost | same history |", "|---" * 7 + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, asdict(fill).values()))} |" for fill in fills)])
