"""Training logs: items and sessions, kept as arrays that hold millions of interactions in little memory."""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase, read_item
from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item, Occurrence
from whimbrel.tools.store.in_memory import InMemory

Ints = NDArray[np.int64]

UNKNOWN = -1
"""Row of an item that is not in the training log."""
NO_DETAILS = ("interaction", None, None)
"""Event word, rating and situation of an event for which the log does not record them."""
DETAIL_COLUMNS: Mapping[str, type | tuple[type, ...]] = {"events": str, "ratings": (int, float), "contexts": dict}
"""Columns of a session document that hold event words, ratings and situations, with the types of their values."""


class SessionEvent(NamedTuple):
    """One event of a session: the item id, the time, and the details that the log records."""

    item_id: str
    time: float | None = None
    event: str = "interaction"
    rating: float | None = None
    context: Mapping[str, str] | None = None

    @classmethod
    def of(cls, item: Item) -> "SessionEvent":
        """Return the event of an item in a history."""
        event, rating = getattr(item, "event", "interaction"), getattr(item, "rating", None)
        return cls(item.item_id, item.time, event, rating, getattr(item, "context", None) or None)


@dataclass(frozen=True, eq=False)
class Training:
    """A training log: the sessions, concatenated into one array of items.

    Of the cases to be ranked, it holds only two facts about their candidates (`timed`, `catalogue`). If no log was
    given, it also holds the histories of the cases.

    Attributes:
        items: All items. A row is a position in this list.
        rows: The items of all sessions. Session s has the items `rows[offsets[s]:offsets[s + 1]]`, in order.
        offsets: The bounds of the sessions in `rows`, shape (sessions + 1,).
        user_ids: The user of each session; "" if unknown.
        times: The time of each interaction, in the shape of `rows`; None if any time is unknown.
        timed: Whether any candidate of the cases has a time.
        catalogue: The candidates of all cases that rank the whole catalogue.
        details: The interactions with their event words, ratings and situations; None if no event has any of these.
    """

    items: list[Item]
    rows: Ints
    offsets: Ints
    user_ids: list[str]
    times: NDArray[np.float64] | None = None
    timed: bool = False
    catalogue: tuple[Item, ...] = ()
    details: Sequence[SessionEvent] | None = None

    @classmethod
    def of(
        cls, sessions: Iterable[tuple[str, Sequence[tuple[str, float | None] | SessionEvent]]], items: dict[str, Item]
    ) -> "Training":
        """Build a training log.

        Args:
            sessions: For each session, the user id and the events in order. An event is a `SessionEvent` or a pair of
                item id and time.
            items: Items keyed by id. An item that is in a session but not in `items` gets its id as its title.

        Example:
            >>> training = Training.of([("u", [("tea", None), ("bread", None)]), ("v", [("tea", None)])], {})
            >>> [item.title for item in training.items], training.rows.tolist(), training.offsets.tolist()
            (['tea', 'bread'], [0, 1, 0], [0, 2, 3])
        """
        known = dict(items)
        position = {item_id: row for row, item_id in enumerate(known)}
        rows, offsets, users, times, details = [], [0], [], [], list[SessionEvent]()
        for user_id, events in sessions:
            for event in events:
                item_id, time = event[0], event[1]
                details.append(event if isinstance(event, SessionEvent) else SessionEvent(item_id, time))
                if item_id not in position:
                    position[item_id] = len(known)
                    # Validation would change some ids, so the id is set after it, exactly as in the log.
                    known[item_id] = Item(item_id="i", title=str(clean_text(item_id))[:500] or "?").model_copy(
                        update={"item_id": item_id}
                    )
                rows.append(position[item_id])
                times.append(np.nan if time is None else time)
            offsets.append(len(rows))
            users.append(user_id)
        all_times = np.array(times, dtype=np.float64)
        return cls(
            items=list(known.values()),
            rows=np.array(rows, dtype=np.int64),
            offsets=np.array(offsets, dtype=np.int64),
            user_ids=users,
            times=all_times if len(all_times) and not np.isnan(all_times).any() else None,
            details=details if any(detail[2:] != NO_DETAILS for detail in details) else None,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def position(self) -> dict[str, int]:
        """Row of each item id."""
        return {item.item_id: row for row, item in enumerate(self.items)}

    def is_catalogue(self, items: Sequence[Item]) -> bool:
        """Return whether `items` is the whole `catalogue`, in the same order."""
        return len(items) == len(self.catalogue) and tuple(items) == self.catalogue

    @cached_property
    def _catalogue_rows(self) -> Ints:
        return self._rows_of(self.catalogue)

    def rows_of(self, items: Sequence[Item]) -> Ints:
        """Return the rows of items, shape (items,). An item that is not in the training log gets UNKNOWN."""
        # Many cases rank the whole catalogue. Looking up its ids again for each case would take most of the time.
        return self._catalogue_rows if self.is_catalogue(items) else self._rows_of(items)

    def _rows_of(self, items: Sequence[Item]) -> Ints:
        position = self.position
        return np.array([position.get(item.item_id, UNKNOWN) for item in items], dtype=np.int64)

    def known_rows(self, items: Sequence[Item]) -> list[int]:
        """Return the rows of the items that are in the training log, in order."""
        position = self.position
        return [position[item.item_id] for item in items if item.item_id in position]

    @cached_property
    def counts(self) -> Ints:
        """The number of interactions of each item, shape (items,)."""
        return np.bincount(self.rows, minlength=len(self.items)).astype(np.int64)

    @cached_property
    def session_of(self) -> Ints:
        """The session number of each interaction, in the shape of `rows`."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @cached_property
    def matrix(self) -> Any:
        """Which session holds which item, as a scipy CSR matrix of ones, shape (sessions, items)."""
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self.rows), dtype=np.float32)
        matrix = csr_matrix((ones, (self.session_of, self.rows)), shape=(len(self), len(self.items)))
        matrix.sum_duplicates()  # an item that a session holds twice becomes one entry; the next line sets it to 1
        matrix.data[:] = 1.0
        return matrix

    @cached_property
    def columns(self) -> Any:
        """The same matrix in CSC form, for access by item."""
        return self.matrix.tocsc()

    def sessions(self) -> Iterator[Ints]:
        """Return the rows of each session."""
        for start, stop in zip(self.offsets[:-1], self.offsets[1:], strict=True):
            yield self.rows[start:stop]


def training_of_cases(cases: Iterable[tuple[BlindCase, Sequence[str]]]) -> Training:
    """Build a training log from pairs of a case and ids of chosen candidates.

    Each pair is one session: the history of the case, followed by the chosen candidates.
    """
    items: dict[str, Item] = {}
    sessions = []
    for case, chosen in cases:
        now = case.history[-1].time if case.history else None
        taken = [item for item in (case.candidates if chosen else ()) if item.item_id in chosen]
        items.update({item.item_id: item for item in [*case.history, *taken]})
        events = [SessionEvent.of(item) for item in case.history]
        sessions.append((case.user_id, [*events, *(SessionEvent(item.item_id, now) for item in taken)]))
    return Training.of(sessions, items)


def training_of_catalogue(catalogue: InMemory) -> Training:
    """Build a training log from a catalogue in memory. Each person is one session."""
    log = catalogue.log
    sessions = ((user, [SessionEvent.of(item) for item in catalogue.history(user)]) for user in log.user_ids)
    return Training.of(sessions, {item.item_id: item for item in catalogue.all_items()})


def catalogue_of(training: Training) -> InMemory:
    """Build a catalogue in memory, with the histories of its people, from a training log.

    If times are unknown, the positions of interactions in the log serve as times. A session without a user becomes a
    separate person.
    """
    timed, details = training.times is not None, training.details
    times = training.times if training.times is not None else np.arange(len(training.rows), dtype=np.float64)
    users = [user_id or f"session {number}" for number, user_id in enumerate(training.user_ids)]
    events = [
        (float(time), users[session], training.items[row].item_id, details[number].context if details else None)
        for number, (time, session, row) in enumerate(zip(times, training.session_of, training.rows, strict=True))
    ]
    log = InteractionLog.build(training.items, events)
    if details is None or not timed:
        return InMemory(training.items, log, timed=timed)
    histories: dict[str, list[Occurrence]] = {}
    for (time, user_id, item_id, context), detail in zip(events, details, strict=True):
        occurrence = Occurrence(time, item_id, detail.event, detail.rating, dict(context) if context else None)
        histories.setdefault(user_id, []).append(occurrence)
    # Training queries require that events at the same time have the same order in the history as in the log.
    ordered = {user_id: sorted(history, key=lambda event: event.key) for user_id, history in histories.items()}
    return InMemory(training.items, log, timed=True, histories=ordered)


def values_at(values: NDArray[Any], rows: Ints, *, missing: float = 0.0) -> NDArray[np.float64]:
    """Return the values of rows. A row that is UNKNOWN gets `missing`."""
    if not len(values):
        return np.full(len(rows), missing)
    return np.where(rows >= 0, values[rows], missing).astype(np.float64)


def read_training(sessions: Path, items: Path | None) -> Training:
    """Read a training log from a file of sessions and a file of items, plain or gzipped.

    Args:
        sessions: The file of sessions, one per line. A line is a JSON list of item ids in order, or a JSON object
            with `items`, `times` (Unix seconds) and `user_id`. The object may also have `events`, `ratings` and
            `contexts`, as written by `eval log`.
        items: The file of items, one per line; None for no file.

    Raises:
        DataError: A file cannot be read, or one of its lines is wrong. The message names the line.
    """
    catalogue = {item.item_id: item for item in read_items(items)} if items else {}
    lines = ((f"sessions {str(sessions)!r}, line {number}", document) for number, document in _lines(sessions))
    return Training.of((_session(line, document) for line, document in lines), catalogue)


def _session(line: str, document: Any) -> tuple[str, list[SessionEvent]]:
    """Return the user id and the events of a session."""
    fields = document if isinstance(document, dict) else {"items": document}
    ids, times = fields.get("items"), fields.get("times")
    if not isinstance(ids, list) or not all(isinstance(item_id, str | int) for item_id in ids):
        raise DataError(f"{line}: expected a list of item ids")
    if times is not None and (not isinstance(times, list) or len(times) != len(ids)):
        raise DataError(f"{line}: expected a list of times as long as that of items")
    try:
        numbers = [float(time) for time in times] if times is not None else [None] * len(ids)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{line}: times are not numbers") from error
    details = _details(fields, len(ids))
    events = [SessionEvent(str(i), time, *detail) for i, time, detail in zip(ids, numbers, details, strict=True)]
    return str(fields.get("user_id") or ""), events


def _details(session: Mapping[str, Any], count: int) -> list[tuple[Any, ...]]:
    """Return event word, rating and situation of each event. A value of the wrong type counts as absent."""
    columns = []
    for (name, kind), absent in zip(DETAIL_COLUMNS.items(), NO_DETAILS, strict=True):
        values = session.get(name)
        column = values if isinstance(values, list) and len(values) == count else [absent] * count
        columns.append([value if isinstance(value, kind) else absent for value in column])
    return list(zip(*columns, strict=True))


def read_items(path: Path) -> Iterator[Item]:
    """Read items from a file, one JSON document per line, plain or gzipped.

    Raises:
        DataError: The file cannot be read, or one of its lines is wrong. The message names the line.
    """
    for number, document in _lines(path):
        try:
            yield read_item(document)
        except ValueError as error:
            raise DataError(f"items {str(path)!r}, line {number}: {str(error).splitlines()[0]}") from error


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r}, line {number}: not JSON: {error}") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
