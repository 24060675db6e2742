"""Measure a server under load: callers that ask for lists and record feedback at once over HTTP.

The server is a process of its own, without a language model, over a made-up shop (see `scale`). Before and after it,
the same calls are made directly in Python, by as many threads as the server runs requests at once.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from whimbrel.agent.agent import Agent
from whimbrel.evals.studies.scale import Shop, synthetic_source
from whimbrel.tools.errors import StoreError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import open_store

FEEDBACK_SHARE = 0.1
"""The share of calls that record an event. The others ask for a list."""
AT_ONCE = 4
"""Requests that run at once, the default of `whimbrel serve`."""
DIRECT_SHARE = 0.2
"""Direct calls are made for this share of the minutes, half of it before the server and half after it."""
CALL_SECONDS = 60.0
HEALTH_SECONDS = 1.0
"""Pause between two questions whether the server is well."""


@dataclass
class _Calls:
    """What the callers saw: times in ms, failures, and the ids of acknowledged feedback."""

    recommend: list[float] = field(default_factory=list)
    feedback: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    errors: int = 0
    error: str = ""

    @property
    def count(self) -> int:
        return len(self.recommend) + len(self.feedback)


@dataclass(frozen=True)
class _Draw:
    """Draws the calls of a seed."""

    users: list[str]
    items: list[str]
    random: np.random.Generator

    def __call__(self) -> tuple[str, dict[str, Any]]:
        """Return the name and the body of a call."""
        if self.random.random() < FEEDBACK_SHARE:
            return "feedback", self.feedback()
        return "recommend", {"user_id": self._one_of(self.users), "k": 10}

    def feedback(self) -> dict[str, Any]:
        """Return the body of a call that records feedback."""
        return {"user_id": self._one_of(self.users), "item_id": self._one_of(self.items), "event": "click"}

    def _one_of(self, ids: list[str]) -> str:
        return ids[int(self.random.integers(len(ids)))]


def measure_http_load(
    shop: Shop, callers: int, minutes: float, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Let callers work on a server for some minutes, and kill it at the end while they record feedback.

    Args:
        shop: The size of the shop.
        callers: The number of callers, each of which waits for its answer.
        minutes: How long they work.
        seed: The seed of the shop and of the calls.
        progress: Shows the progress.

    Returns:
        Counts of calls and errors, percentiles of the times of each kind of call in ms, calls a second over HTTP and
        directly, their ratio, the server's memory in MB, and how much acknowledged feedback the killed server lost.
    """
    progress = progress or NoProgress()
    with TemporaryDirectory(prefix="whimbrel-") as name:
        store = Path(name) / "store"
        progress.step(f"Ingesting {shop.items:,} items and {shop.events:,} events", None)
        ingest(synthetic_source(shop, seed), store)
        with open_store(str(store)) as opened:
            users, items = list(opened.log.user_ids), list(opened.log.item_ids)
        draw = _Draw(users, items, np.random.default_rng(seed))
        seconds = 60 * minutes
        progress.step("Calling directly", None)
        direct = [_direct(store, draw, seconds * DIRECT_SHARE / 2)]
        progress.step(f"Calling over HTTP for {minutes:g} minutes", None)
        with _server(store) as (address, process):
            calls = asyncio.run(_call(address, process, draw, callers, seconds))
        progress.step("Calling directly", None)
        direct.append(_direct(store, draw, seconds * DIRECT_SHARE / 2))
        progress.step("Killing the server", None)
        with _server(store) as (address, process):
            acknowledged = asyncio.run(_record_until_killed(address, process, draw, callers))
        with open_store(str(store)) as opened:
            kept = {event.event_id for user in users for event in opened.history(user, before=np.inf)}
    by_http, directly = calls.count / seconds, sum(direct) / len(direct)
    return {
        "callers": callers,
        "minutes": minutes,
        "calls": calls.count,
        "errors": calls.errors,
        "error": calls.error,
        "calls a second over HTTP": round(by_http, 1),
        "calls a second directly": round(directly, 1),
        "ratio": round(by_http / directly, 2),
        "ms": {
            kind: {f"p{share}": round(float(np.percentile(times, share)), 1) for share in (50, 95, 99)}
            for kind, times in (("recommend", calls.recommend), ("feedback", calls.feedback), ("health", calls.health))
            if times
        },
        "MB after a tenth of the time": calls.megabytes[len(calls.megabytes) // 10],
        "MB at the middle": calls.megabytes[len(calls.megabytes) // 2],
        "MB at the end": calls.megabytes[-1],
        "acknowledged before the kill": len(acknowledged),
        "lost by the kill": len(set(acknowledged) - kept),
    }


def _direct(store: Path, draw: _Draw, seconds: float) -> float:
    """Return the calls a second of threads that call an agent, in a process of their own."""
    command = [sys.executable, "-m", __spec__.name, str(store), str(draw.random.integers(1 << 30)), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # own command
    return float(json.loads(done.stdout))


def _work(store: str, seed: int, seconds: float) -> float:
    with Agent.open(store, "none") as agent:
        users, items = list(agent.store.log.user_ids), list(agent.store.log.item_ids)
        counts = [0] * AT_ONCE
        agent.recommend(users[0])  # the first call loads the log

        def call(number: int) -> None:
            draw = _Draw(users, items, np.random.default_rng([seed, number]))
            while time.monotonic() < end:
                kind, body = draw()
                if kind == "feedback":
                    agent.feedback(**body)
                else:
                    agent.recommend(body["user_id"], k=body["k"]).model_dump_json()
                counts[number] += 1

        begun = time.monotonic()
        end = begun + seconds
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(call, range(AT_ONCE)))
        return sum(counts) / (time.monotonic() - begun)


@contextmanager
def _server(store: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Serve a store, and stop the server at the end. Yields its address and its process."""
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "serve", "--store", str(store), "--port", "0"]
    command += ["--llm", "none", "--at-once", str(AT_ONCE)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603  # own command
    try:
        words = ""
        for line in process.stderr or ():
            words += line
            if line.startswith("Serving "):
                yield line.split()[1], process
                return
        raise StoreError(f"the server of the study does not start: {words}")
    finally:
        process.terminate()
        process.communicate(timeout=CALL_SECONDS)


async def _call(address: str, process: "subprocess.Popen[str]", draw: _Draw, callers: int, seconds: float) -> _Calls:
    calls, end = _Calls(), time.monotonic() + seconds

    async def caller(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            kind, body = draw()
            begun = time.perf_counter()
            answer = await _posted(client, kind, body, calls)
            if answer is not None:
                getattr(calls, kind).append(1e3 * (time.perf_counter() - begun))

    async def watch(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            begun = time.perf_counter()
            await client.get("/healthz")
            calls.health.append(1e3 * (time.perf_counter() - begun))
            calls.megabytes.append(_megabytes(process.pid))
            await asyncio.sleep(HEALTH_SECONDS)

    async with _client(address, callers) as client:
        await _posted(client, "recommend", {"user_id": draw.users[0]}, calls)  # the first call loads the log
        await asyncio.gather(watch(client), *(caller(client) for _ in range(callers)))
    return calls


async def _record_until_killed(address: str, process: "subprocess.Popen[str]", draw: _Draw, callers: int) -> list[str]:
    """Record feedback from all callers, and kill the server meanwhile. Return the ids that it acknowledged."""
    calls = _Calls()

    async def record(client: httpx.AsyncClient) -> None:
        while process.poll() is None:
            await _posted(client, "feedback", draw.feedback(), calls)

    async def kill() -> None:
        while len(calls.acknowledged) < 4 * callers and not calls.errors:
            await asyncio.sleep(0.01)
        process.kill()

    async with _client(address, callers) as client:
        await asyncio.gather(kill(), *(record(client) for _ in range(callers)))
    return calls.acknowledged


def _client(address: str, callers: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=callers + 1, max_keepalive_connections=callers + 1)
    return httpx.AsyncClient(base_url=address, timeout=CALL_SECONDS, limits=limits)


async def _posted(
    client: httpx.AsyncClient, kind: str, body: Mapping[str, Any], calls: _Calls
) -> httpx.Response | None:
    """Send a call. Return the answer, or None if it failed, which is counted."""
    try:
        answer = await client.post(f"/v1/{kind}", json=body)
        answer.raise_for_status()
    except httpx.HTTPError as failure:
        calls.errors, calls.error = calls.errors + 1, calls.error or str(failure) or type(failure).__name__
        return None
    if kind == "feedback":
        calls.acknowledged.append(answer.json()["event_id"])
    return answer


def _megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603, S607
    return round(int(done.stdout.strip() or 0) / 1e3)


if __name__ == "__main__":
    print(json.dumps(_work(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
