"""Measure how time and disk space grow with the size of a catalogue and a log, on synthetic shops.

The items of a shop have a few hundred topics. There is one person for every twenty events. Each person has a few
topics, which change occasionally. Within a topic, an item's frequency falls with its rank. The quality of
recommendations is not measured.
"""

import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from whimbrel.agent.agent import Agent
from whimbrel.agent.learning.fit import fit_store
from whimbrel.agent.pipeline import STAGES
from whimbrel.agent.state import PipelineConfig, Request
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.store.store import open_store

WORDS = (
    "amber apple autumn basket blue bright canvas cedar classic clear copper coral cotton crisp daily dark deep desert",
    "blanket bottle bowl brush cable candle chair clock coat cup desk drill fan flask glove hammer hat jar knife",
)
"""The first words of titles, then the second words."""
TOPICS, TOPICS_PER_PERSON = 300, 4
P_KEEP_TOPICS = 0.97
"""Probability that an event changes none of the person's topics."""
EVENTS_PER_PERSON = 20
FIRST_TIME = 1_600_000_000.0
USERS, WARM_UP = 200, 20
"""USERS requests are timed. WARM_UP requests run before them and fill the caches."""


@dataclass(frozen=True)
class Shop:
    """The size of a synthetic shop."""

    items: int
    events: int


def parse_size(size: str) -> Shop:
    """Return the size that a text `ITEMS:EVENTS` describes.

    Raises:
        ConfigError: the text is not two whole numbers of at least 1.

    Example:
        >>> parse_size("10000:100000")
        Shop(items=10000, events=100000)
    """
    items, _, events = size.partition(":")
    try:
        shop = Shop(int(items), int(events))
    except ValueError:
        shop = Shop(0, 0)
    if shop.items < 1 or shop.events < 1:
        raise ConfigError(f"{size!r} is not a size: give ITEMS:EVENTS, as in 10000:100000")
    return shop


@dataclass(frozen=True)
class ScaleConfig:
    """What is measured of each shop.

    Attributes:
        candidates: Candidates that retrieval returns.
        fit: Whether `whimbrel fit` is measured too.
        starts: How often a command is started to measure a cold start. The median counts.
        seed: The seed of the shop and of the draw of users.
    """

    candidates: int = 200
    fit: bool = False
    starts: int = 5
    seed: int = 0


def measure_scale(shop: Shop, config: ScaleConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Ingest a synthetic shop into a temporary store, then time requests, cold starts and a fit, without a model.

    Ingestion, requests and the fit run in a process each, so that each has a peak of memory of its own.

    Returns:
        Seconds and megabytes of each step, events a second, and the size of the store. `ms` holds percentiles over
        users of the milliseconds of each stage and of the whole request.
    """
    progress = progress or NoProgress()
    with TemporaryDirectory(prefix="whimbrel-") as folder:
        location = Path(folder) / "store"
        progress.step(f"Ingesting {shop.items:,} items and {shop.events:,} events", None)
        ingested = _in_process(_ingest, location, shop, config)
        progress.step("Recommending", None)
        requests = _in_process(_request, location, shop, config)
        progress.step("Starting from cold", None)
        cold = median(_cold_start(location, requests["user"]) for _ in range(config.starts))
        fitted: dict[str, Any] = {}
        if config.fit:
            progress.step("Learning", None)
            fitted = _in_process(_fit, location, shop, config)
        size = sum(file.stat().st_size for file in location.rglob("*") if file.is_file())
    return {
        "items": shop.items,
        "events": ingested["events"],
        "ingestion seconds": ingested["seconds"],
        "events a second": round(ingested["events"] / max(ingested["seconds"], 1e-9)),
        "ingestion MB": ingested["MB"],
        "store MB": round(size / 1e6, 1),
        "cold start seconds": round(cold, 2),
        "request MB": requests["MB"],
        "ms": requests["ms"],
        "fit seconds": fitted.get("seconds"),
        "fit MB": fitted.get("MB"),
    }


def _in_process(work: Any, location: Path, shop: Shop, config: ScaleConfig) -> dict[str, Any]:
    """Run a step in a process of its own, and return its result with its seconds and its peak of memory."""
    # Spawned, since a fork would share the peak of memory with this process.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured: dict[str, Any] = pool.apply(_measured, (work, location, shop, config))
        return measured


def _measured(work: Any, location: Path, shop: Shop, config: ScaleConfig) -> dict[str, Any]:
    started = time.perf_counter()
    result = work(location, shop, config)
    seconds = round(time.perf_counter() - started, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / (1e6 if sys.platform == "darwin" else 1e3)  # macOS counts bytes, Linux kilobytes
    return {"seconds": seconds, "MB": round(megabytes), **result}


def _ingest(location: Path, shop: Shop, config: ScaleConfig) -> dict[str, Any]:
    return {"events": ingest(synthetic_source(shop, config.seed), location).events}


def _request(location: Path, shop: Shop, config: ScaleConfig) -> dict[str, Any]:
    with open_store(location) as store:
        agent = Agent(store, None, PipelineConfig(candidates=config.candidates))
        users = np.random.default_rng(config.seed).choice(store.log.user_ids, WARM_UP + USERS)
        # Requests are made one second after the last event, so that the whole log is the past.
        at, timings = (store.log.end or 0.0) + 1, []
        for user in users:
            begin = time.perf_counter()
            state = agent.run(Request(str(user), at=at))
            timings.append({**state.seconds, "in all": time.perf_counter() - begin})
    timed = {step: [1e3 * row[step] for row in timings[WARM_UP:]] for step in (*STAGES, "in all")}
    return {"user": str(users[0]), "ms": {step: _percentiles(values) for step, values in timed.items()}}


def _cold_start(location: Path, user_id: str) -> float:
    """Return the seconds of a `whimbrel recommend` without a language model, from its start to its end."""
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "recommend", user_id, "--store", str(location)]
    started = time.perf_counter()
    subprocess.run([*command, "--llm", "none", "--json"], check=True, capture_output=True)  # noqa: S603  # own command
    return time.perf_counter() - started


def _fit(location: Path, shop: Shop, config: ScaleConfig) -> dict[str, Any]:
    with open_store(location) as store:
        fit_store(store, seed=config.seed)
    return {}


COLUMNS = {
    "items": "items",
    "events": "events",
    "ingestion seconds": "ingestion s",
    "ingestion MB": "MB",
    "store MB": "store MB",
    "cold start seconds": "cold start s",
    "request MB": "request MB",
    "fit seconds": "fit s",
    "fit MB": "fit MB",
}


def scale_markdown(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return the results of `measure_scale` for several shops as a Markdown table, with exponents of growth."""
    steps = list(measured[0]["ms"])
    lines = [
        f"| {' | '.join([*COLUMNS.values(), *(f'{step} ms' for step in steps)])} |",
        "|---" * (len(COLUMNS) + len(steps)) + "|",
    ]
    for row in measured:
        values = ["" if row[name] is None else f"{row[name]:,}" for name in COLUMNS]
        times = [f"{row['ms'][step]['p50']} ({row['ms'][step]['p95']})" for step in steps]
        lines.append(f"| {' | '.join([*values, *times])} |")
    lines += ["", f"Milliseconds: median (95th percentile) of {USERS} users."]
    lines += [_growth(smaller, larger) for smaller, larger in pairwise(measured)]
    return "\n".join(lines)


def _growth(smaller: Mapping[str, Any], larger: Mapping[str, Any]) -> str:
    """Return by which power of the number of events each cost grows, in words. 1 is linear.

    If both logs have as many events, it is the power of the number of items.
    """
    size = "events" if larger["events"] != smaller["events"] else "items"
    factor = larger[size] / max(smaller[size], 1)
    costs = {name: (smaller[name], larger[name]) for name in list(COLUMNS)[2:] if smaller[name] and larger[name]}
    costs["request"] = (smaller["ms"]["in all"]["p50"], larger["ms"]["in all"]["p50"])
    powers = [f"{name} {np.log(after / before) / np.log(factor):.2f}" for name, (before, after) in costs.items()]
    return f"From {smaller[size]:,} to {larger[size]:,} {size}, exponents of growth: {', '.join(powers)}."


def _percentiles(values: list[float]) -> Mapping[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 1) for share in (50, 95)}


def synthetic_source(shop: Shop, seed: int) -> Source:
    """Return a synthetic shop as a source that can be ingested."""
    return Source(f"{shop.items} items", synthetic_rows(shop, seed), total=shop.items + shop.events)


def synthetic_rows(shop: Shop, seed: int) -> Iterator[Row]:
    """Return the rows of a shop: first its items, then what people bought."""
    random = np.random.default_rng(seed)
    first, second = (line.split() for line in WORDS)
    topic = random.integers(TOPICS, size=shop.items)
    for item in range(shop.items):
        title = f"{first[item % len(first)]} {second[topic[item] % len(second)]} {item}"
        fields = {"item_id": f"i{item}", "title": title, "topics": [f"Shelf {topic[item]}"]}
        yield Row("synthetic", item, fields, item, catalogue=True)
    items_of_topic = [np.flatnonzero(topic == number) for number in range(TOPICS)]
    people = max(shop.events // EVENTS_PER_PERSON, 1)
    topics_of_person = random.integers(TOPICS, size=(people, TOPICS_PER_PERSON))
    for number in range(shop.events):
        person = int(random.integers(people))
        if random.random() > P_KEEP_TOPICS:
            topics_of_person[person, random.integers(TOPICS_PER_PERSON)] = random.integers(TOPICS)
        shelf = items_of_topic[topics_of_person[person, random.integers(TOPICS_PER_PERSON)]]
        if not len(shelf):
            continue
        # A uniform exponent makes the frequency of an item fall with its rank, roughly as 1 / rank.
        rank = min(int(len(shelf) ** random.random()) - 1, len(shelf) - 1)
        event = {"user_id": f"u{person}", "item_id": f"i{shelf[rank]}", "time": FIRST_TIME + 30.0 * number}
        yield Row("synthetic", shop.items + number, event, shop.items + number)
