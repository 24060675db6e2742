"""Kill commands at random moments: fits, conversations and evaluations. What they leave must be whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from whimbrel.agent.fitted import FILES, Fitted
from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.progress import Progress
from whimbrel.tools.store.store import open_store

COMPLETE_SECONDS = 900.0
TALK = ["something clear", "I'll take the first", "not the second", "I know the first", "cheaper", "/undo"] * 20
SYSTEMS = "popularity,itemknn,whimbrel-none"


def killed_fits(location: str, kills: int, seed: int, progress: Progress) -> tuple[int, int]:
    """Kill fits of two seeds in turn. After each kill, the store must have all files of one seed.

    Returns:
        The number of kills, and after how many of them the files were none of the two whole fits.
    """
    fits: dict[str, str] = {}
    took = 0.0
    for number in (0, 1):
        started = time.perf_counter()
        _complete(["fit", "--store", location, "--seed", str(number)])
        took = time.perf_counter() - started
        fits[_files_of(location)] = str(number)
    draw, mixed = random.Random(seed), 0  # noqa: S311
    for number in range(kills):
        # Half of the kills come late, when the files are written.
        moment = draw.uniform(0, took) if number % 2 else took - draw.uniform(0, 0.3 * took)
        _kill(["fit", "--store", location, "--seed", str(number % 2)], moment)
        mixed += _files_of(location) not in fits
        progress.advance(1)
    return kills, mixed


def killed_talks(location: str, kills: int, seed: int, progress: Progress) -> tuple[int, int]:
    """Kill conversations that are saved. What a person took and saw confirmed must be in the history.

    Returns:
        The number of confirmed items, and how many of them the history lacks or of conversations that cannot be read.
    """
    draw, confirmed, lost = random.Random(seed), 0, 0  # noqa: S311
    for number in range(kills):
        user = f"talker {number}"
        command = ["chat", user, "--store", location, "--llm", "none", "--json", "--session", "kept"]
        out = _kill(command, draw.uniform(1.0, 5.0), "\n".join(TALK))
        turns = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        taken = sum(turn.get("act") == "accept" for turn in turns)
        with open_store(location) as store:
            try:
                history = store.history(user)
            except DataError:
                history = []
        confirmed += taken
        lost += max(0, taken - len(history))
        again = subprocess.run(_command(command), input="/state\n", capture_output=True, text=True, check=False)  # noqa: S603  # own command
        lost += again.returncode != 0
        progress.advance(1)
    return confirmed, lost


def killed_evaluations(location: str, folder: Path, kills: int, seed: int, progress: Progress) -> tuple[int, int]:
    """Kill evaluations and resume them. The results must be those of a run that was never killed.

    Returns:
        The number of kills, and how many finished runs had other results.
    """
    words = ["eval", "log", "--store", location, "--refits", "1", "--llm", "none", "--system", SYSTEMS, "--json"]
    whole = _results(_complete([*words, "--out", str(folder / "whole")]))
    draw, other, run = random.Random(seed), 0, 0  # noqa: S311
    for number in range(kills):
        out = folder / f"run-{run}"
        _kill([*words, "--out", str(out)], draw.uniform(1.0, 12.0))
        if number % 5 == 4 or number == kills - 1:
            other += _results(_complete([*words, "--out", str(out)])) != whole
            run += 1
        progress.advance(1)
    return kills, other


def _results(document: str) -> dict[str, float]:
    return {name: row["ndcg@10"] for name, row in json.loads(document.splitlines()[-1])["system"].items()}


def _files_of(location: str) -> str:
    """Return a digest of what was learned; why it cannot be read, if it cannot."""
    with open_store(location) as store:
        try:
            Fitted.load(store.fitted)
        except DataError as error:
            return str(error)
        files = [store.fitted / name for name in FILES if (store.fitted / name).is_file()]
        return sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "whimbrel.agent.cli.main", *words]


def _complete(words: Sequence[str]) -> str:
    done = subprocess.run(_command(words), capture_output=True, text=True, timeout=COMPLETE_SECONDS, check=False)  # noqa: S603  # own command
    if done.returncode:
        raise StoreError(f"`whimbrel {words[0]}` of the study failed: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _kill(words: Sequence[str], seconds: float, lines: str = "") -> str:
    """Start a command, kill it so many seconds later, and return what it printed."""
    with subprocess.Popen(  # noqa: S603  # own command
        _command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        if process.stdin:
            process.stdin.write(lines)
            process.stdin.close()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        return process.stdout.read() if process.stdout else ""
