"""Events of a log as arrays, before they are ordered."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
History = tuple[str, Sequence[Sequence[Any]]]
"""A user's id and rows of events: time, item, word, rating, situation. The last values of a row may be missing."""

EVENTS_AT_ONCE = 100_000
"""Events that become arrays at once. Lists of all events would take ten times the memory."""


class EventColumns(NamedTuple):
    """Events as arrays, in any order.

    Attributes:
        time: Their times in Unix seconds, shape (events,).
        user: Rows of `user_ids`.
        item: Rows of the catalogue, sorted by id.
        situation: Rows of `situations`.
        user_ids: The ids of the users.
        situations: Distinct situations as texts (see `situation_text`).
    """

    time: Floats
    user: Ints
    item: Ints
    situation: Ints
    user_ids: list[str]
    situations: list[str]


def columns_of(histories: Iterable[History], item_ids: Sequence[str]) -> EventColumns:
    """Return the events of histories as arrays.

    Args:
        histories: The histories. A user may occur several times.
        item_ids: The ids of the items, sorted.

    Raises:
        KeyError: an event has an item that is not among them.
    """
    item_rows = {item_id: row for row, item_id in enumerate(item_ids)}
    user_rows: dict[str, int] = {}
    situation_rows: dict[str, int] = {}
    times: list[Floats] = [np.empty(0)]
    columns: list[Ints] = [np.empty((3, 0), dtype=np.int64)]  # rows of users, items and situations
    for group in _grouped(histories, EVENTS_AT_ONCE):
        events = [row for _, rows in group for row in rows]
        users = np.array([user_rows.setdefault(user_id, len(user_rows)) for user_id, _ in group], dtype=np.int64)
        texts = [situation_text(row[4]) if len(row) > 4 and row[4] else "" for row in events]
        times.append(np.array([row[0] for row in events], dtype=np.float64))
        of_users = np.repeat(users, [len(rows) for _, rows in group])
        of_items = [item_rows[row[1]] for row in events]
        of_situations = [situation_rows.setdefault(text, len(situation_rows)) for text in texts]
        columns.append(np.array([of_users, of_items, of_situations], dtype=np.int64))
    user, item, situation = np.concatenate(columns, axis=1)
    return EventColumns(np.concatenate(times), user, item, situation, list(user_rows), list(situation_rows))


def situation_text(context: Mapping[str, str] | None) -> str:
    """Return a situation as a JSON object; "" if it is unknown."""
    return json.dumps(context) if context else ""


def _grouped(histories: Iterable[History], size: int) -> Iterator[list[History]]:
    """Yield histories in lists of at least `size` events; the last list may have fewer."""
    group: list[History] = []
    events = 0
    for history in histories:
        group.append(history)
        events += len(history[1])
        if events >= size:
            yield group
            group, events = [], 0
    if group:
        yield group
