"""Measure how time and disk space grow with the size of a catalogue and a log, on synthetic shops.

The items of a shop have a few hundred topics. There is one person for every twenty events. Each person has a few
topics, which change occasionally. Within a topic, an item's frequency falls with its rank. The quality of
recommendations is not measured.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from whimbrel.agent.agent import Agent
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


def measure_scale(
    shop: Shop, *, candidates: int = 200, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Ingest a synthetic shop into a temporary store, then time requests without a language model.

    Returns:
        Seconds and speed of ingestion, and the size of the store. `ms` holds percentiles over users of the
        milliseconds of each step and of the whole request.
    """
    progress = progress or NoProgress()
    with TemporaryDirectory(prefix="whimbrel-") as folder:
        location = Path(folder) / "store"
        started = time.perf_counter()
        source = Source(f"{shop.items} items", synthetic_rows(shop, seed), total=shop.items + shop.events)
        ingested = ingest(source, location, progress=progress)
        seconds = time.perf_counter() - started
        size = sum(file.stat().st_size for file in location.rglob("*") if file.is_file())
        with open_store(location) as store:
            agent = Agent(store, None, PipelineConfig(candidates=candidates))
            users = np.random.default_rng(seed).choice(store.log.user_ids, WARM_UP + USERS)
            # Requests are made one second after the last event, so that the whole log is the past.
            at, timings = (store.log.end or 0.0) + 1, []
            progress.step("Recommending", len(users))
            for user in users:
                begin = time.perf_counter()
                state = agent.run(Request(str(user), at=at))
                timings.append({**state.seconds, "in all": time.perf_counter() - begin})
                progress.advance(1)
    return {
        "items": shop.items,
        "events": ingested.events,
        "ingestion seconds": round(seconds, 1),
        "events a second": round(ingested.events / seconds),
        "store MB": round(size / 1e6, 1),
        "ms": {step: _percentiles([1e3 * row[step] for row in timings[WARM_UP:]]) for step in (*STAGES, "in all")},
    }


def scale_markdown(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return the results of `measure_scale` for several shops as a Markdown table."""
    steps = list(measured[0]["ms"])
    lines = [
        f"| items | events | ingestion s | events/s | store MB | {' | '.join(f'{step} ms' for step in steps)} |",
        "|---" * (5 + len(steps)) + "|",
    ]
    for row in measured:
        times = [f"{row['ms'][step]['p50']} ({row['ms'][step]['p95']})" for step in steps]
        lines.append(
            f"| {row['items']:,} | {row['events']:,} | {row['ingestion seconds']} | {row['events a second']:,} | "
            f"{row['store MB']} | {' | '.join(times)} |"
        )
    return "\n".join([*lines, "", f"Milliseconds: median (95th percentile) of {USERS} users."])


def _percentiles(values: list[float]) -> Mapping[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 1) for share in (50, 95)}


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
