"""What systems may learn from: items and sessions, as arrays, light enough for millions of interactions."""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase, read_item
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item, clean_text
from whimbrel.tools.store.in_memory import InMemory

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Training:
    """Sessions one behind the other: `rows[offsets[s]:offsets[s + 1]]` are the items of session s, in order.

    `user_ids[s]` is whose session s is ("" where unknown); `times` has the time of each event, None where unknown.
    Nothing of the cases to be ranked is in it but, where no log was given, their histories, and whether any of their
    candidates is `timed`.
    """

    items: list[Item]
    rows: Ints
    offsets: Ints
    user_ids: list[str]
    times: NDArray[np.float64] | None = None
    timed: bool = False

    @classmethod
    def of(
        cls, sessions: Iterable[tuple[str, Sequence[tuple[str, float | None]]]], items: dict[str, Item]
    ) -> "Training":
        """From (user id, [(item id, time or None)]) and items by id; items without a title take their id for one."""
        known = dict(items)
        position = {item_id: row for row, item_id in enumerate(known)}
        rows, offsets, users, times = [], [0], [], []
        for user_id, events in sessions:
            for item_id, time in events:
                if item_id not in position:
                    position[item_id] = len(known)
                    known[item_id] = Item(item_id="i", title=str(clean_text(item_id))[:500] or "?").model_copy(
                        update={"item_id": item_id}
                    )
                rows.append(position[item_id])
                times.append(np.nan if time is None else time)
            offsets.append(len(rows))
            users.append(user_id)
        at = np.array(times, dtype=np.float64)
        return cls(
            items=list(known.values()),
            rows=np.array(rows, dtype=np.int64),
            offsets=np.array(offsets, dtype=np.int64),
            user_ids=users,
            times=at if len(at) and not np.isnan(at).any() else None,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def position(self) -> dict[str, int]:
        """Row of each item id."""
        return {item.item_id: row for row, item in enumerate(self.items)}

    @cached_property
    def _places(self) -> dict[int, tuple[Any, Ints]]:
        return {}

    def rows_of(self, items: Sequence[Item]) -> Ints:
        """Rows of items, -1 for unknown ones; remembered for a long list that comes again (a whole catalogue)."""
        if len(items) < 1000:
            return np.array([self.position.get(item.item_id, -1) for item in items], dtype=np.int64)
        if id(items) not in self._places:
            self._places.clear()
            rows = np.array([self.position.get(item.item_id, -1) for item in items], dtype=np.int64)
            self._places[id(items)] = (items, rows)
        return self._places[id(items)][1]

    def known_rows(self, items: Sequence[Item]) -> list[int]:
        """Rows of those items that are known, in order."""
        position = self.position
        return [position[item.item_id] for item in items if item.item_id in position]

    @cached_property
    def counts(self) -> Ints:
        """Interactions of each item, shape (items,)."""
        return np.bincount(self.rows, minlength=len(self.items)).astype(np.int64)

    @cached_property
    def session_of(self) -> Ints:
        """The session of each interaction, shape as `rows`."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def matrix(self) -> Any:
        """Which session holds which item, 1 each, as a scipy CSR matrix of shape (sessions, items)."""
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self.rows), dtype=np.float32)
        matrix = csr_matrix((ones, (self.session_of, self.rows)), shape=(len(self), len(self.items)))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix

    @cached_property
    def columns(self) -> Any:
        """The same by item: CSC."""
        return self.matrix.tocsc()

    def sessions(self) -> Iterator[Ints]:
        """The rows of each session."""
        for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.rows[start:stop]


def training_of(cases: Iterable[tuple[BlindCase, Sequence[str]]]) -> Training:
    """From the histories of cases, each followed by those of its candidates that were chosen then."""
    items: dict[str, Item] = {}
    sessions = []
    for blind, chosen in cases:
        now = blind.history[-1].time if blind.history else None
        events = [(item, item.time) for item in blind.history]
        events += [(item, now) for item in (blind.candidates if chosen else ()) if item.item_id in chosen]
        items.update({item.item_id: item for item, _ in events})
        sessions.append((blind.user_id, [(item.item_id, time) for item, time in events]))
    return Training.of(sessions, items)


def training_of_library(library: InMemory) -> Training:
    """The log of a catalogue in memory; each person is one session."""
    sessions = ((user, [(item.item_id, item.time) for item in library.history(user)]) for user in library.log.user_ids)
    return Training.of(sessions, {item.item_id: item for item in library.all_items()})


def library_of(training: Training) -> InMemory:
    """A training log as a catalogue with its people; where it has no times, its order stands for them, and each session
    is somebody's own."""
    times = training.times if training.times is not None else np.arange(len(training.rows), dtype=np.float64)
    users = [user_id or f"session {number}" for number, user_id in enumerate(training.user_ids)]
    log = InteractionLog.build(
        training.items,
        (
            (float(time), users[session], training.items[row].item_id, None)
            for time, session, row in zip(times, training.session_of, training.rows, strict=True)
        ),
    )
    return InMemory(training.items, log, timed=training.times is not None)


def values_at(values: NDArray[Any], rows: Ints, *, missing: float = 0.0) -> NDArray[np.float64]:
    """Values of rows; `missing` for those that are -1."""
    if not len(values):
        return np.full(len(rows), missing)
    return np.where(rows >= 0, values[rows], missing).astype(np.float64)


def read_training(sessions: Path, items: Path | None) -> Training:
    """From a file of sessions, a line each, and one of items. A session is a JSON list of item ids in order, or a
    document with `items`, `times` (Unix seconds) and `user_id`.

    Raises:
        DataError: a file cannot be read, or a line of it is wrong; the message names the line.
    """
    catalogue = {item.item_id: item for item in read_items(items)} if items else {}

    def read() -> Iterator[tuple[str, list[tuple[str, float | None]]]]:
        for number, document in _lines(sessions):
            whose = document if isinstance(document, dict) else {"items": document}
            ids, times = whose.get("items"), whose.get("times")
            if not isinstance(ids, list) or not all(isinstance(item_id, str | int) for item_id in ids):
                raise DataError(f"sessions {str(sessions)!r}, line {number}: no list of item ids")
            if times is not None and (not isinstance(times, list) or len(times) != len(ids)):
                raise DataError(
                    f"sessions {str(sessions)!r}, line {number}: times are no list as long as that of items"
                )
            try:
                timed = [float(time) for time in times] if times is not None else [None] * len(ids)
            except (TypeError, ValueError, OverflowError) as error:
                raise DataError(f"sessions {str(sessions)!r}, line {number}: times are no numbers") from error
            yield str(whose.get("user_id") or ""), [(str(i), time) for i, time in zip(ids, timed, strict=True)]

    return Training.of(read(), catalogue)


def read_items(path: Path) -> Iterator[Item]:
    """Items of a file, a JSON document a line.

    Raises:
        DataError: the file cannot be read, or a line of it is wrong; the message names the line.
    """
    for number, document in _lines(path):
        try:
            yield read_item(document)
        except ValueError as error:
            raise DataError(f"items {str(path)!r}, line {number}: {str(error).splitlines()[0]}") from error


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r}, line {number}: not JSON: {error}") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
