"""What size costs, on made-up shops: `python -m whimbrel.evals.studies.scale 10000:100000 100000:1000000`.

A shop has ITEMS items in a few hundred topics and EVENTS events of a twentieth as many people, each of whom keeps to a
few topics that change now and then; how often an item comes falls with its rank. Nothing is measured of how good
recommendations are.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

from whimbrel.agent.display.terminal import ingest_progress
from whimbrel.agent.pipeline import STEPS, PipelineConfig, Request, StageClock, build_pipeline
from whimbrel.agent.schema.context import Context
from whimbrel.tools.progress import Progress
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.store.store import open_store

WORDS = (
    "amber apple autumn basket blue bright canvas cedar classic clear copper coral cotton crisp daily dark deep desert",
    "blanket bottle bowl brush cable candle chair clock coat cup desk drill fan flask glove hammer hat jar knife",
)
TOPICS, KEPT, STAYS = 300, 4, 0.97
"""Topics in all, those that a person keeps to, and the probability that an event changes none of these."""
PER_PERSON = 20
BEGUN = 1_600_000_000.0
USERS, WARM_UP = 200, 20
"""Users whose requests are timed, and requests before the first of these."""


def main(
    sizes: Annotated[list[str], typer.Argument(metavar="ITEMS:EVENTS ...", help="Sizes, each a shop of its own.")],
    candidates: Annotated[int, typer.Option("--candidates", help="That retrieval brings.")] = 200,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Ingest each shop, then time requests without a language model; prints one JSON document."""
    found = []
    with ingest_progress() as progress:
        for size in sizes:
            items, _, events = size.partition(":")
            with TemporaryDirectory(prefix="whimbrel-") as folder:
                found.append(measured(int(items), int(events), Path(folder), candidates, seed, progress))
    print(json.dumps(found, indent=1))


def measured(items: int, events: int, folder: Path, candidates: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Seconds, bytes, and percentiles of milliseconds over users, by step and in all."""
    started = time.perf_counter()
    source = Source(f"{items} items", made_up(items, events, seed), total=items + events)
    done = ingest(source, folder / "store", progress=progress)
    seconds = time.perf_counter() - started
    size = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
    with open_store(folder / "store") as store:
        pipeline = build_pipeline(store, None, PipelineConfig(candidates=candidates))
        users = np.random.default_rng(seed).choice(store.log.user_ids, WARM_UP + USERS)
        at, table = (store.log.end or 0.0) + 1, []
        progress.step("Asking", len(users))
        for user in users:
            clock, begun = StageClock(None), time.perf_counter()
            pipeline.invoke(Request(str(user), at, Context(), 10), {"callbacks": [clock.handler()]})
            table.append({**clock.seconds, "in all": time.perf_counter() - begun})
            progress.advance(1)
    return {
        "items": items,
        "events": done.events,
        "ingestion seconds": round(seconds, 1),
        "events a second": round(done.events / seconds),
        "store MB": round(size / 1e6, 1),
        "ms": {step: _percentiles([1e3 * row[step] for row in table[WARM_UP:]]) for step in (*STEPS, "in all")},
    }


def _percentiles(values: list[float]) -> Mapping[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 1) for share in (50, 95)}


def made_up(items: int, events: int, seed: int) -> Iterator[Row]:
    """The rows of a shop: its items, then what people bought."""
    random = np.random.default_rng(seed)
    first, second = (line.split() for line in WORDS)
    topic = random.integers(TOPICS, size=items)
    for item in range(items):
        title = f"{first[item % len(first)]} {second[topic[item] % len(second)]} {item}"
        fields = {"item_id": f"i{item}", "title": title, "topics": [f"Shelf {topic[item]}"]}
        yield Row("made up", item, fields, item, catalogue=True)
    by_topic = [np.flatnonzero(topic == number) for number in range(TOPICS)]
    people = max(events // PER_PERSON, 1)
    kept = random.integers(TOPICS, size=(people, KEPT))
    for number in range(events):
        person = int(random.integers(people))
        if random.random() > STAYS:
            kept[person, random.integers(KEPT)] = random.integers(TOPICS)
        shelf = by_topic[kept[person, random.integers(KEPT)]]
        if not len(shelf):
            continue
        place = min(int(len(shelf) ** random.random()) - 1, len(shelf) - 1)
        told = {"user_id": f"u{person}", "item_id": f"i{shelf[place]}", "time": BEGUN + 30.0 * number}
        yield Row("made up", items + number, told, items + number)


if __name__ == "__main__":
    typer.run(main)
