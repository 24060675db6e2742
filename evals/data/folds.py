"""Cut a whole log into cases, each of which shows the log as of its own time.

Cases are split into folds by time. In a fold, systems learn from all events before its first case. The history of a
case ends at the time of the case (`at`), the moment asked about. Files that a system reads hold no later event.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.evals.data.logs import Log
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.interaction_log import Ints
from whimbrel.tools.log.sessions import SESSION_GAP_SECONDS

PROTOCOLS = ("leave-last-out", "time-split", "next-session")
CANDIDATES = ("catalogue", "uniform", "popularity")
SAMPLED = 99
"""Number of candidates that are sampled for a case, in addition to the relevant ones."""


@dataclass(frozen=True)
class Protocol:
    """How a log becomes cases.

    Attributes:
        name: One of PROTOCOLS.
        candidates: One of CANDIDATES.
        refits: The number of folds. Systems learn again in each fold.
        warm_up: The first share of the events, which is only learned from. It is used if `begin` is None.
        begin: Events before this time are only learned from.
        users: The largest number of users; None for all.
        seed: The seed of the random numbers.
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


@dataclass(frozen=True)
class Target:
    """The events of a user, from `time` on, that are to be predicted. `rows` are rows of the log."""

    user: int
    time: float
    rows: Ints


def write_folds(log: Log, protocol: Protocol, folder: Path) -> list[Fold]:
    """Write the cases and training files of each fold below `folder`.

    Raises:
        ConfigError: an unknown protocol or way to draw candidates, or `refits` < 1.
        DataError: no case is left.
    """
    targets = targets_of(log, protocol)
    folds = min(1 if protocol.name == "time-split" else protocol.refits, len(targets))
    files = []
    for number, part in enumerate(np.array_split(np.arange(len(targets)), folds), start=1):
        fold_folder = folder / f"fold-{number}"
        fold_folder.mkdir(parents=True, exist_ok=True)
        files.append(_write_fold(log, protocol, [targets[row] for row in part], fold_folder))
    return files


def targets_of(log: Log, protocol: Protocol) -> list[Target]:
    """Return the events to predict, as targets ordered by time.

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
        raise DataError("no case is left: every user's last event lies in the warm-up, so shorten it")
    return sorted(targets, key=lambda target: (target.time, target.user))


def case_of(log: Log, target: Target, rows: Ints) -> dict[str, Any]:
    """Return the case of a target over the whole catalogue, as JSON.

    Args:
        log: The log.
        target: The events to predict.
        rows: All events of the user, in order.
    """
    before = rows[log.time[rows] < target.time]
    met = np.unique(log.item[before])
    new = _new_items(log, target, met)
    user_id = log.user_ids[target.user]
    return {
        "case_id": user_id,
        "user_id": user_id,
        "history": [event_document(log, row) for row in before],
        "at": target.time,
        "candidates": "catalogue",
        "met": [log.items[row].item_id for row in met],
        "relevant": [log.items[row].item_id for row in new],
    }


def _new_items(log: Log, target: Target, met: Ints) -> list[int]:
    already = set(met.tolist())
    return [row for row in dict.fromkeys(log.item[target.rows].tolist()) if row not in already]


def event_document(log: Log, row: int) -> dict[str, Any]:
    """Return an event of a history as JSON: the item with its time, event word, rating and situation."""
    event: dict[str, Any] = log.items[log.item[row]].model_dump(mode="json", exclude_defaults=True)
    event |= {"time": float(log.time[row])}
    if log.details:
        detail = log.details[row]
        known = {"event": detail.event, "rating": detail.rating, "context": detail.context}
        event |= {name: value for name, value in known.items() if value is not None}
    return event


def rows_by_user(log: Log) -> Iterator[Ints]:
    """Yield the events of each user, in order."""
    order = np.argsort(log.user, kind="stable")
    bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
    for start, stop in itertools.pairwise(bounds):
        yield order[start:stop]


def _last(log: Log, begin: float, random: np.random.Generator) -> list[Target]:
    """Return each user's last event.

    It must lie after the warm-up and after another event of the user. If several events share the last time (a basket),
    one of them is drawn, since their order carries no information.
    """
    return [
        Target(user, float(log.time[rows[-1]]), random.choice(rows[log.time[rows] == log.time[rows[-1]]], 1))
        for user, rows in enumerate(rows_by_user(log))
        if log.time[rows[-1]] >= begin and log.time[rows[0]] < log.time[rows[-1]]
    ]


def _split(log: Log, begin: float, random: np.random.Generator) -> list[Target]:
    """Return all events of each user from `begin` on. Users without an earlier event are left out."""
    return [
        Target(user, float(begin), rows[log.time[rows] >= begin])
        for user, rows in enumerate(rows_by_user(log))
        if log.time[rows[0]] < begin <= log.time[rows[-1]]
    ]


def _next_session(log: Log, begin: float, random: np.random.Generator) -> list[Target]:
    """Return each user's last session, if it begins after the warm-up and is not the user's first."""
    targets = []
    for user, rows in enumerate(rows_by_user(log)):
        gaps = np.flatnonzero(np.diff(log.time[rows]) > SESSION_GAP_SECONDS)
        if len(gaps) and log.time[rows[gaps[-1] + 1]] >= begin:
            session = rows[gaps[-1] + 1 :]
            targets.append(Target(user, float(log.time[session[0]]), session))
    return targets


_TARGETS: dict[str, Callable[[Log, float, np.random.Generator], list[Target]]] = {
    "leave-last-out": _last,
    "time-split": _split,
    "next-session": _next_session,
}


def _write_fold(log: Log, protocol: Protocol, targets: Sequence[Target], folder: Path) -> Fold:
    """Write the files of a fold. Only events before the time of its first case are learned from."""
    begin = targets[0].time
    past = np.flatnonzero(log.time < begin)
    counts = np.bincount(log.item[past], minlength=len(log.items))
    known = np.flatnonzero((counts > 0) | np.array([i.time is not None and i.time < begin for i in log.items]))
    fold = Fold(folder / "cases.jsonl", folder / "sessions.jsonl", folder / "items.jsonl", len(targets))
    write_documents(fold.items, (log.items[row].model_dump(mode="json", exclude_defaults=True) for row in known))
    write_documents(fold.sessions, session_documents(log, past))
    by_user = list(rows_by_user(log))
    if protocol.candidates == "catalogue":
        write_documents(fold.cases, (case_of(log, target, by_user[target.user]) for target in targets))
    else:
        random = np.random.default_rng(protocol.seed)
        sampler = _Sampler(log, counts, protocol.candidates, random, _appeared(log))
        write_documents(fold.cases, (sampler.case(target, by_user[target.user]) for target in targets))
    return fold


def session_documents(log: Log, past: Ints) -> Iterator[dict[str, Any]]:
    """Yield the past events of each user as a session."""
    order = past[np.argsort(log.user[past], kind="stable")]
    bounds = np.flatnonzero(np.append(True, np.diff(log.user[order]) != 0)) if len(order) else np.array([], dtype=int)
    for start, stop in zip(bounds, [*bounds[1:], len(order)], strict=True):
        rows = order[start:stop]
        session = {
            "user_id": log.user_ids[log.user[rows[0]]],
            "items": [log.items[row].item_id for row in log.item[rows]],
            "times": log.time[rows].tolist(),
        }
        if log.details:
            details = [log.details[row] for row in rows]
            columns = {
                "events": [detail.event for detail in details],
                "ratings": [detail.rating for detail in details],
                "contexts": [detail.context for detail in details],
            }
            session |= {name: values for name, values in columns.items() if any(v is not None for v in values)}
        yield session


@dataclass(frozen=True)
class _Sampler:
    """Samples candidates in addition to the relevant ones.

    Attributes:
        counts: Events of each item before the fold begins, shape (items,).
        how: "uniform", or "popularity" for candidates about as popular as the relevant ones.
        random: The random number generator.
        appeared: The time from which each item is known, shape (items,).
    """

    log: Log
    counts: Ints
    how: str
    random: np.random.Generator
    appeared: NDArray[np.float64]

    def case(self, target: Target, rows: Ints) -> dict[str, Any]:
        """Return the case of a target with sampled candidates, in random order."""
        case = case_of(self.log, target, rows)
        met = np.unique(self.log.item[rows[self.log.time[rows] < target.time]])
        new = _new_items(self.log, target, met)
        # The pool may hold items that no earlier event mentions, since a relevant item may be such an item too.
        pool = np.setdiff1d(np.flatnonzero(self.appeared < target.time), np.union1d(met, new))
        listed = self.random.permutation(np.array([*new, *self._drawn(pool, new)], dtype=np.int64))
        items = [self.log.items[row].model_dump(mode="json", exclude_defaults=True) for row in listed]
        return {name: value for name, value in case.items() if name != "met"} | {"candidates": items}

    def _drawn(self, pool: Ints, new: Sequence[int]) -> Ints:
        n = min(SAMPLED, len(pool))
        if self.how == "uniform" or not new:
            return np.asarray(self.random.choice(pool, n, replace=False))
        # The pool is shuffled first, so that items at equal distance are drawn at random.
        shuffled = self.random.permutation(pool)
        distance = np.abs(np.log1p(self.counts[shuffled]) - np.mean(np.log1p(self.counts[list(new)])))
        return np.asarray(shuffled[np.argsort(distance, kind="stable")[:n]])


def _appeared(log: Log) -> NDArray[np.float64]:
    """Return the time from which each item is known, shape (items,).

    It is the time of the item's first event, or the item's own time if that is earlier.
    """
    appeared = np.array([np.inf if item.time is None else item.time for item in log.items], dtype=np.float64)
    np.minimum.at(appeared, log.item, log.time)
    return appeared


def write_documents(path: Path, documents: Iterator[dict[str, Any]]) -> None:
    """Write a file with one JSON document a line. The file appears when it is whole."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
    partial.replace(path)
