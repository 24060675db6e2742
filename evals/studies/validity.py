"""Check recommendations against the log: cited events must have happened, and recommended items must be new.

The command line runs in its own process, as for a user. Its answers are compared with the source of the log, not with
the store.
"""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from whimbrel.agent import Recommendations
from whimbrel.agent.schema.results import CitedEvent
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staged import staged
from whimbrel.tools.timestamps import iso, parse_time

HISTORY_SHARE = 0.75
"""The moment asked about lies after this share of the user's history, so that there are events to cite."""


@dataclass(frozen=True)
class SourceLog:
    """The unchanged content of a source.

    Attributes:
        titles: Titles, keyed by item id.
        events: Events as (item id, time, kind), keyed by user id.
    """

    titles: dict[str, str] = field(default_factory=dict)
    events: dict[str, list[tuple[str, float, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Requests:
    """The requests to make.

    Attributes:
        store: The store.
        users: Number of users.
        llm: Spec of the language model.
        k: Number of items for each user.
    """

    store: str
    users: int = 50
    llm: str = "bundled"
    k: int = 10


def read_log(source: Source) -> SourceLog:
    """Read all rows of a source."""
    log = SourceLog()
    with staged(source) as staging:
        spelling = staging.spelling(())
        log.titles.update((record.item.item_id, record.item.title) for record in staging.items(spelling))
        for user_id, events in staging.histories():
            log.events[user_id] = [(event.item_id, event.time, event.event) for event in events]
    return log


def measure_validity(log: SourceLog, requests: Requests, *, progress: Progress | None = None) -> dict[str, Any]:
    """Run `whimbrel recommend --json` for users that are evenly spread over the log, and check the answers.

    Returns:
        Counts of users, valid answers, recommended items, cited events and answers with warnings, and the median
        seconds of a request. `problems` lists what is wrong with each answer that is not valid, keyed by user id.
    """
    progress = progress or NoProgress()
    everybody = sorted(log.events)
    # Users are evenly spread over the sorted ids, so a run can be repeated without a seed.
    chosen = everybody[:: max(len(everybody) // requests.users, 1)][: requests.users]
    progress.step("Recommending", len(chosen))
    counts = {"users": len(chosen), "valid": 0, "items": 0, "cited": 0, "with warnings": 0}
    problems: dict[str, list[str]] = {}
    seconds: list[float] = []
    for user_id in chosen:
        times = sorted(time for _, time, _ in log.events[user_id])
        ended = _recommend(user_id, parse_time(times[int(len(times) * HISTORY_SHARE)]) + 1, requests)
        if ended.returncode == 0:
            found_problems = problems_of(ended.stdout, log, user_id=user_id, k=requests.k)
        else:
            found_problems = [ended.stderr.strip()]
        if found_problems:
            problems[user_id] = found_problems
        counts["valid"] += not found_problems
        answer = _parsed(ended.stdout)
        if answer is not None:
            counts["items"] += len(answer.recommendations)
            counts["cited"] += len(answer.shift.evidence)
            counts["cited"] += sum(len(entry.evidence) for entry in answer.recommendations)
            counts["with warnings"] += bool(answer.warnings)
            seconds.append(answer.usage.seconds)
        progress.advance(1)
    median = sorted(seconds)[len(seconds) // 2] if seconds else None
    return counts | {"median seconds a request": median, "problems": problems}


def validity_lines(document: Mapping[str, Any]) -> list[str]:
    """Return the results of `measure_validity` as lines of text."""
    return [f"{name:<26} {value}" for name, value in document.items() if name != "problems"]


def _recommend(user_id: str, at: float, requests: Requests) -> subprocess.CompletedProcess[str]:
    options = ["--at", iso(at), "--llm", requests.llm, "--k", str(requests.k), "--json"]
    # Each request runs in its own process, as for a user.
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "whimbrel.agent.cli.main", "recommend", user_id, "--store", requests.store, *options],
        capture_output=True,
        text=True,
    )


def _parsed(document: str) -> Recommendations | None:
    try:
        return Recommendations.model_validate_json(document)
    except ValidationError:
        return None


def problems_of(document: str, log: SourceLog, *, user_id: str, k: int) -> list[str]:
    """Return what is wrong with one answer of `recommend --json`. The list is empty if the answer is valid."""
    try:
        answer = Recommendations.model_validate_json(document)
    except ValidationError as error:
        return [f"not valid: {error}"]
    past = {event for event in log.events.get(user_id, []) if event[1] < answer.at}
    met = {item_id for item_id, _, _ in past}
    entries = answer.recommendations
    ids = [entry.item_id for entry in entries]
    problems = [] if answer.user_id == user_id else [f"is for user {answer.user_id!r}"]
    problems += [f"has {len(ids)} items, not {k}"] if len(ids) != k else []
    problems += ["repeats an item"] if len(set(ids)) < len(ids) else []
    if [entry.rank for entry in entries] != list(range(1, len(ids) + 1)):
        problems.append("ranks do not count from 1")
    for entry in entries:
        problems += [f"recommends {entry.item_id!r}, met before"] if entry.item_id in met else []
        problems += [f"names {entry.title!r}"] if log.titles.get(entry.item_id) != entry.title else []
        problems += [f"gives no reason for {entry.item_id!r}"] if not (entry.explanation and entry.evidence) else []
        problems += _false_citations(entry.evidence, past, log)
    return problems + _false_citations(answer.shift.evidence, past, log)


def _false_citations(cited: Iterable[CitedEvent], past: set[tuple[str, float, str]], log: SourceLog) -> list[str]:
    return [
        f"cites {event.event_id}, which did not happen before"
        for event in cited
        if (event.item_id, event.time, event.event) not in past or log.titles.get(event.item_id) != event.title
    ]
