"""Measure a store under load: processes that recommend and record feedback at once, on one Chroma server.

Each process has an agent of its own, without a language model. The server holds a made-up shop (see `scale`).
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from whimbrel.agent.agent import Agent
from whimbrel.evals.studies.chroma_server import chroma_server
from whimbrel.evals.studies.scale import Shop, synthetic_source
from whimbrel.tools.errors import StoreError, WhimbrelError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest

FEEDBACK_SHARE = 0.1
"""The share of calls that record an event. The others recommend."""
START_SECONDS = 120.0


def measure_load(
    shop: Shop, processes: int, minutes: float, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Let processes work on one server for some minutes.

    Args:
        shop: The size of the shop.
        processes: The number of processes.
        minutes: How long they work.
        seed: The seed of the shop and of the calls.
        progress: Shows the progress.

    Returns:
        Counts of calls and errors, percentiles of the times of both kinds of calls in ms, and the largest memory of a
        process in MB at the middle and at the end.
    """
    progress = progress or NoProgress()
    with TemporaryDirectory(prefix="whimbrel-") as name, ExitStack() as resources:
        address = f"{resources.enter_context(chroma_server(Path(name) / 'server')).address}/load"
        progress.step(f"Ingesting {shop.items:,} items and {shop.events:,} events", None)
        ingest(synthetic_source(shop, seed), address)
        progress.step(f"Working for {minutes:g} minutes", processes)
        command = [sys.executable, "-m", "whimbrel.evals.studies.load", address]
        workers = [
            subprocess.Popen([*command, str(seed + number), str(60 * minutes)], stdout=subprocess.PIPE, text=True)  # noqa: S603  # own command
            for number in range(processes)
        ]
        reports = []
        for worker in workers:
            out, _ = worker.communicate(timeout=60 * minutes + START_SECONDS)
            if worker.returncode:
                raise StoreError(f"a process of the study ended with {worker.returncode}")
            reports.append(json.loads(out))
            progress.advance(1)
    return _together(reports, processes, minutes)


def _together(reports: Sequence[Mapping[str, Any]], processes: int, minutes: float) -> dict[str, Any]:
    times = {kind: np.concatenate([report[kind] for report in reports]) for kind in ("recommend", "feedback")}
    return {
        "processes": processes,
        "minutes": minutes,
        "calls": sum(map(len, times.values())),
        "calls a second": round(sum(map(len, times.values())) / (60 * minutes), 1),
        "errors": sum(report["errors"] for report in reports),
        "error": next((report["error"] for report in reports if report["error"]), ""),
        "ms": {
            kind: {f"p{share}": round(float(np.percentile(of_kind, share)), 1) for share in (50, 95, 99)}
            for kind, of_kind in times.items()
            if len(of_kind)
        },
        "MB at the middle": max(report["middle MB"] for report in reports),
        "MB at the end": max(report["MB"] for report in reports),
    }


def _work(address: str, seed: int, seconds: float) -> dict[str, Any]:
    """Call an agent until the time is up. Return the times of the calls in ms."""
    random = np.random.default_rng(seed)
    times: dict[str, list[float]] = {"recommend": [], "feedback": []}
    errors, error, middle = 0, "", 0.0
    with Agent.open(address, llm="none") as agent:
        users, items = agent.store.log.user_ids, agent.store.log.item_ids
        at = (agent.store.log.end or 0.0) + 1
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            if not middle and passed > seconds / 2:
                middle = _megabytes()
            user, item = str(random.choice(users)), str(random.choice(items))
            kind = "feedback" if random.random() < FEEDBACK_SHARE else "recommend"
            started = time.perf_counter()
            try:
                if kind == "feedback":
                    agent.feedback(user, item, "click", at=at + passed)
                else:
                    agent.recommend(user, at=at + passed)
            except WhimbrelError as failure:
                errors, error = errors + 1, error or str(failure)
            times[kind].append(round(1e3 * (time.perf_counter() - started), 1))
    return {**times, "errors": errors, "error": error, "middle MB": middle, "MB": _megabytes()}


def _megabytes() -> float:
    """Return the largest memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))  # macOS counts bytes, Linux kilobytes


def load_markdown(measured: Mapping[str, Any]) -> str:
    """Return a measurement as a Markdown table."""
    lines = ["| what | figure |", "|---|---|"]
    for name, value in measured.items():
        if isinstance(value, Mapping):
            lines += [
                f"| {kind}, ms | {', '.join(f'{p} {ms:g}' for p, ms in of.items())} |" for kind, of in value.items()
            ]
        elif value != "":
            lines.append(f"| {name} | {value} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(_work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
