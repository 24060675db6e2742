"""Whether recommendations keep their promises: what they cite happened, and what they recommend is new.

Checks the command line from outside against the source of the log, not against the store:

    python -m whimbrel.evals.studies.validity ../shared/data/ml-100k --store STORE --users 50
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from whimbrel.agent import Recommendations
from whimbrel.agent.schema.results import CitedEvent
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.timestamps import iso, parse_time


@dataclass
class Log:
    """A source as it stands: titles by item, and events (item, time, kind) by user."""

    titles: dict[str, str] = field(default_factory=dict)
    events: dict[str, list[tuple[str, float, str]]] = field(default_factory=dict)


def read_log(path: str) -> Log:
    """All rows of a source in a format that `ingest` knows."""
    from whimbrel.tools.records import Event, Item

    log = Log()
    for row in open_source(path).rows:
        given = dict(row.fields)
        if "title" in given:
            item = Item.model_validate({"item_id": given.get("item_id"), "title": given["title"]})
            log.titles[item.item_id] = item.title
            given["item_id"] = item.item_id
        if not row.catalogue:
            event = Event.model_validate({k: v for k, v in given.items() if k in Event.model_fields})
            log.events.setdefault(event.user_id, []).append((event.item_id, event.time, event.event))
    return log


def problems(document: str, log: Log, *, user_id: str, k: int) -> list[str]:
    """What is wrong with one answer of `recommend --json`; empty where nothing is."""
    try:
        found = Recommendations.model_validate_json(document)
    except ValidationError as error:
        return [f"not valid: {error}"]
    past = {event for event in log.events.get(user_id, []) if event[1] < found.at}
    met = {item_id for item_id, _, _ in past}
    told = [] if found.user_id == user_id else [f"is for user {found.user_id!r}"]
    ids = [entry.item_id for entry in found.recommendations]
    told += [f"has {len(ids)} items, not {k}"] if len(ids) != k else []
    told += ["repeats an item"] if len(set(ids)) < len(ids) else []
    told += (
        ["ranks do not count from 1"] if [e.rank for e in found.recommendations] != list(range(1, len(ids) + 1)) else []
    )
    for entry in found.recommendations:
        told += [f"recommends {entry.item_id!r}, met before"] if entry.item_id in met else []
        told += [f"names {entry.title!r}"] if log.titles.get(entry.item_id) != entry.title else []
        told += [f"gives no reason for {entry.item_id!r}"] if not (entry.explanation and entry.evidence) else []
        told += _uncited(entry.evidence, past, log)
    return told + _uncited(found.shift.evidence, past, log)


def _uncited(cited: Iterable[CitedEvent], past: set[tuple[str, float, str]], log: Log) -> list[str]:
    return [
        f"cites {event.event_id}, which did not happen before"
        for event in cited
        if (event.item_id, event.time, event.event) not in past or log.titles.get(event.item_id) != event.title
    ]


def main(
    source: Annotated[str, typer.Argument(help="The log that the store was made of.")],
    store: Annotated[str, typer.Option(help="Its store.")],
    users: Annotated[int, typer.Option(help="How many users, evenly over the log.")] = 50,
    llm: Annotated[str, typer.Option(help="Model spec.")] = "bundled",
    k: Annotated[int, typer.Option(help="How many items each.")] = 10,
) -> None:
    """Ask `whimbrel recommend --json` for users at three quarters of their history; print what is wrong."""
    log = read_log(source)
    everybody = sorted(log.events)
    chosen = everybody[:: max(len(everybody) // users, 1)][:users]
    counts: dict[str, Any] = {
        "users": len(chosen),
        "valid": 0,
        "items": 0,
        "cited": 0,
        "with warnings": 0,
        "seconds": [],
    }
    for number, user_id in enumerate(chosen, start=1):
        times = sorted(time for _, time, _ in log.events[user_id])
        at = iso(parse_time(times[len(times) * 3 // 4]) + 1)
        command = ["recommend", user_id, "--store", store, "--at", at, "--llm", llm, "--k", str(k), "--json"]
        ended = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "whimbrel.agent.cli.main", *command], capture_output=True, text=True
        )
        wrong = problems(ended.stdout, log, user_id=user_id, k=k) if ended.returncode == 0 else [ended.stderr.strip()]
        counts["valid"] += not wrong
        if ended.returncode == 0:
            found = json.loads(ended.stdout)
            counts["items"] += len(found["recommendations"])
            counts["cited"] += sum(len(part["evidence"]) for part in (found["shift"], *found["recommendations"]))
            counts["with warnings"] += bool(found["warnings"])
            counts["seconds"].append(found["usage"]["seconds"])
        print(f"{number}/{len(chosen)} user {user_id}: {'; '.join(wrong) or 'valid'}", file=sys.stderr)
    seconds = sorted(counts.pop("seconds"))
    print(json.dumps(counts | {"median seconds a request": seconds[len(seconds) // 2] if seconds else None}))
    raise typer.Exit(counts["valid"] < len(chosen))


if __name__ == "__main__":
    typer.run(main)
