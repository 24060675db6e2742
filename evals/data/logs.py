"""A whole log as cases, strictly as of the time of each: what a system learns from ended before its first case.

Cases are cut into folds by time. A fold learns from all events before its first case; the history of a case reaches
up to its own time. What happens later is in no file that a system reads.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.interaction_log import Row
from whimbrel.tools.log.sessions import session_starts
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Event, Item
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.store.store import open_store

PROTOCOLS = ("leave-last-out", "time-split", "next-session")
CANDIDATES = ("catalogue", "uniform", "popularity")
SAMPLED = 99
"""Candidates drawn beside each relevant one."""
LONGEST_HISTORY = 200
"""Events of a history that a case shows, the latest."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """Events ordered by time, then by user: numbers of users and items, and times."""

    items: list[Item]
    user_ids: list[str]
    user: Ints
    item: Ints
    time: NDArray[np.float64]
    rejected: int


@dataclass(frozen=True)
class Protocol:
    """How a log becomes cases.

    `refits` folds learn anew; what lies before `begin`, by default the first `warm_up` share of the events, only serves
    to learn from; of the users at most `users` are taken, drawn with `seed`.
    """

    name: str = "leave-last-out"
    candidates: str = "catalogue"
    refits: int = 5
    warm_up: float = 0.5
    begin: float | None = None
    users: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Fold:
    """The files of one fold: cases, sessions to learn from, and the items known when it begins."""

    cases: Path
    sessions: Path
    items: Path
    count: int


def read_log(source: Source, progress: Progress | None = None) -> Log:
    """A source in any format of `ingest`; equal events count once, rows that make no sense are counted.

    Raises:
        DataError: the source cannot be read to its end, or holds no valid event.
    """
    progress = progress or NoProgress()
    progress.step(f"Reading {source.name}", source.total)
    items: dict[str, Item] = {}
    events: set[tuple[float, str, str]] = set()
    rejected, position = 0, 0
    for row in source.rows:
        try:
            rejected += not _take(dict(row.fields), row.catalogue, bool(row.problem), items, events)
        except ValidationError:
            rejected += 1
        progress.advance(row.position - position)
        position = row.position
    if not events:
        raise DataError(f"{source.name!r} holds no valid event")
    ordered = sorted(events)
    item_ids = {item_id: number for number, item_id in enumerate(items)}
    user_ids: dict[str, int] = {}
    return Log(
        items=list(items.values()),
        user=np.array([user_ids.setdefault(user, len(user_ids)) for _, user, _ in ordered], dtype=np.int64),
        item=np.array([item_ids[item] for _, _, item in ordered], dtype=np.int64),
        time=np.array([time for time, _, _ in ordered], dtype=np.float64),
        user_ids=list(user_ids),
        rejected=rejected,
    )


def _take(
    fields: dict[str, Any], catalogue: bool, problem: bool, items: dict[str, Item], events: set[tuple[float, str, str]]
) -> bool:
    """A row into the items and events; False where it makes no sense. An item's time is kept for a catalogue only."""
    if problem:
        return False
    if catalogue or "title" in fields:
        own = {name: fields[name] for name in ("item_id", "title", "topics", "text", "price") if name in fields}
        key = str(own.get("item_id"))
        if key not in items or catalogue:
            item = Item.model_validate(own | ({"time": fields["time"]} if catalogue and "time" in fields else {}))
            items.setdefault(item.item_id, item)
            fields["item_id"] = item.item_id
    if catalogue:
        return True
    event = Event.model_validate({name: fields[name] for name in ("user_id", "item_id", "time") if name in fields})
    if event.item_id not in items:
        return False
    events.add((event.time, event.user_id, event.item_id))
    return True


def events_of(log: Log) -> Iterator[Row]:
    """As rows of an `InteractionLog`."""
    for user, item, time in zip(log.user, log.item, log.time, strict=True):
        yield float(time), log.user_ids[user], log.items[item].item_id, None


def write_folds(log: Log, protocol: Protocol, folder: Path) -> list[Fold]:
    """Cases and training files of each fold, below `folder`.

    Raises:
        ConfigError: an unknown protocol or way to draw candidates, or `refits` < 1.
        DataError: no case is left.
    """
    if protocol.name not in PROTOCOLS or protocol.candidates not in CANDIDATES or protocol.refits < 1:
        raise ConfigError(
            f"protocol {protocol.name!r} with {protocol.candidates!r} candidates and {protocol.refits} refits: "
            f"protocols are {', '.join(PROTOCOLS)}, candidates {', '.join(CANDIDATES)}, refits at least 1"
        )
    begin = protocol.begin
    if begin is None:
        begin = float(log.time[min(int(len(log.time) * protocol.warm_up), len(log.time) - 1)])
    targets = _TARGETS[protocol.name](log, begin, np.random.default_rng(protocol.seed))
    if protocol.users is not None and len(targets) > protocol.users:
        kept = np.random.default_rng(protocol.seed).permutation(len(targets))[: protocol.users]
        targets = [targets[number] for number in np.sort(kept)]
    if not targets:
        raise DataError("no case is left: every user's last event lies in the warm-up; lower it")
    targets.sort(key=lambda target: (target.time, target.user))
    parts = np.array_split(
        np.arange(len(targets)), min(1 if protocol.name == "time-split" else protocol.refits, len(targets))
    )
    folds = []
    for number, part in enumerate(parts, start=1):
        place = folder / f"fold-{number}"
        place.mkdir(parents=True, exist_ok=True)
        folds.append(_write_fold(log, protocol, [targets[row] for row in part], place))
    return folds


@dataclass(frozen=True)
class _Target:
    """What a user does from `time` on that is to be found: rows of the log."""

    user: int
    time: float
    rows: Ints


def _rows_by_user(log: Log) -> Iterator[Ints]:
    order = np.argsort(log.user, kind="stable")
    bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
    for start, stop in itertools.pairwise(bounds):
        yield order[start:stop]


def _last(log: Log, begin: float, random: np.random.Generator) -> list[_Target]:
    """Each user's last event, where it lies behind the warm-up and something of theirs before it; of several at one
    moment (a basket) one drawn at random: their order says nothing."""
    return [
        _Target(user, float(log.time[rows[-1]]), random.choice(rows[log.time[rows] == log.time[rows[-1]]], 1))
        for user, rows in enumerate(_rows_by_user(log))
        if log.time[rows[-1]] >= begin and log.time[rows[0]] < log.time[rows[-1]]
    ]


def _split(log: Log, begin: float, random: np.random.Generator) -> list[_Target]:
    """All that a user does from the moment on, for users known before it."""
    return [
        _Target(user, float(begin), rows[log.time[rows] >= begin])
        for user, rows in enumerate(_rows_by_user(log))
        if log.time[rows[0]] < begin <= log.time[rows[-1]]
    ]


def _next_session(log: Log, begin: float, random: np.random.Generator) -> list[_Target]:
    """Each user's last session: events less than three hours apart."""
    found = []
    for user, rows in enumerate(_rows_by_user(log)):
        starts = session_starts(log.time[rows])
        session = rows[starts[-1] :]
        if len(starts) > 1 and log.time[session[0]] >= begin:
            found.append(_Target(user, float(log.time[session[0]]), session))
    return found


_TARGETS: dict[str, Callable[[Log, float, np.random.Generator], list[_Target]]] = {
    "leave-last-out": _last,
    "time-split": _split,
    "next-session": _next_session,
}


def _write_fold(log: Log, protocol: Protocol, targets: Sequence[_Target], place: Path) -> Fold:
    """Nothing at or after the first case's time is learned from, nothing at or after a case's own is in its history."""
    begin = targets[0].time
    past = np.flatnonzero(log.time < begin)
    counts = np.bincount(log.item[past], minlength=len(log.items))
    known = np.flatnonzero((counts > 0) | np.array([i.time is not None and i.time < begin for i in log.items]))
    fold = Fold(place / "cases.jsonl", place / "sessions.jsonl", place / "items.jsonl", len(targets))
    _write(fold.items, (log.items[row].model_dump(mode="json", exclude_defaults=True) for row in known))
    _write(fold.sessions, _sessions(log, past))
    random = np.random.default_rng(protocol.seed)
    by_user, since = list(_rows_by_user(log)), _known_since(log)
    _write(
        fold.cases, (_case(log, protocol, target, by_user[target.user], since, counts, random) for target in targets)
    )
    return fold


def _known_since(log: Log) -> NDArray[np.float64]:
    """When each item was first met or, where that is known and earlier, appeared."""
    since = np.array([np.inf if item.time is None else item.time for item in log.items], dtype=np.float64)
    np.minimum.at(since, log.item, log.time)
    return since


def _sessions(log: Log, past: Ints) -> Iterator[dict[str, Any]]:
    order = past[np.argsort(log.user[past], kind="stable")]
    bounds = np.flatnonzero(np.append(True, np.diff(log.user[order]) != 0)) if len(order) else np.array([], dtype=int)
    for start, stop in zip(bounds, [*bounds[1:], len(order)], strict=True):
        rows = order[start:stop]
        yield {
            "user_id": log.user_ids[log.user[rows[0]]],
            "items": [log.items[row].item_id for row in log.item[rows]],
            "times": log.time[rows].tolist(),
        }


def _case(
    log: Log,
    protocol: Protocol,
    target: _Target,
    rows: Ints,
    since: NDArray[np.float64],
    counts: Ints,
    random: np.random.Generator,
) -> dict[str, Any]:
    before = rows[log.time[rows] < target.time]
    met = np.unique(log.item[before])
    new = [row for row in dict.fromkeys(log.item[target.rows].tolist()) if row not in set(met.tolist())]
    user_id = log.user_ids[target.user]
    case: dict[str, Any] = {
        "case_id": user_id,
        "user_id": user_id,
        "history": [
            log.items[log.item[row]].model_dump(mode="json", exclude_defaults=True) | {"time": float(log.time[row])}
            for row in before[-LONGEST_HISTORY:]
        ],
        "relevant": [log.items[row].item_id for row in new],
    }
    if protocol.candidates == "catalogue":
        return case | {"candidates": "catalogue", "met": [log.items[row].item_id for row in met]}
    pool = np.setdiff1d(
        np.flatnonzero(since < target.time), np.union1d(met, new)
    )  # some are news to the log, as it may be
    drawn = _drawn(pool, new, counts, protocol.candidates, random)
    listed = random.permutation(np.array([*new, *drawn], dtype=np.int64))
    return case | {"candidates": [log.items[row].model_dump(mode="json", exclude_defaults=True) for row in listed]}


def _drawn(pool: Ints, new: Sequence[int], counts: Ints, how: str, random: np.random.Generator) -> Ints:
    """Others to choose from: any, or as popular as the relevant ones (the nearest in count, equal ones by chance)."""
    n = min(SAMPLED, len(pool))
    if how == "uniform" or not new:
        return np.asarray(random.choice(pool, n, replace=False))
    shuffled = random.permutation(pool)
    distance = np.abs(np.log1p(counts[shuffled]) - np.mean(np.log1p(counts[list(new)])))
    return np.asarray(shuffled[np.argsort(distance, kind="stable")[:n]])


def _write(path: Path, documents: Iterator[dict[str, Any]]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    partial.replace(path)


def read_store(location: str) -> Log:
    """The log of a store.

    Raises:
        StoreError: it cannot be opened.
        DataError: it holds no event.
    """
    with open_store(location) as store:
        log = store.log
        if log.end is None:
            raise DataError(f"store {location!r} holds no event")
        items = store.items(log.item_ids)
        return Log([items[item_id] for item_id in log.item_ids], log.user_ids, log.user, log.item, log.time, 0)
