"""A whole log in memory, as arrays ordered by time. It is read from any source or store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import EventRow, Ints
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Event, Interaction, Item, Occurrence
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.store.store import open_store


@dataclass(frozen=True)
class Log:
    """Events ordered by time, then by user, then by item.

    Attributes:
        items: The items.
        user_ids: The ids of the users.
        user: The user of each event, as a position in `user_ids`, shape (events,).
        item: The item of each event, as a position in `items`, shape (events,).
        time: The time of each event in Unix seconds, shape (events,).
        rejected: Number of invalid rows of the source.
        details: Event word, rating and situation of each event; None if the source does not contain them.
    """

    items: list[Item]
    user_ids: list[str]
    user: Ints
    item: Ints
    time: NDArray[np.float64]
    rejected: int
    details: Sequence[Occurrence] | None = None


def read_log(source: Source, progress: Progress | None = None) -> Log:
    """Read a source in any format of `ingest`.

    Equal events are kept once. Invalid rows are left out and counted.

    Raises:
        DataError: the source cannot be read to its end, or holds no valid event.
    """
    progress = progress or NoProgress()
    progress.step(f"Reading {source.name}", source.total)
    items: dict[str, Item] = {}
    events: dict[tuple[float, str, str, str], Occurrence] = {}
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
    keys = sorted(events)
    item_rows = {item_id: number for number, item_id in enumerate(items)}
    user_rows: dict[str, int] = {}
    return Log(
        items=list(items.values()),
        user=np.array([user_rows.setdefault(user, len(user_rows)) for _, user, _, _ in keys], dtype=np.int64),
        item=np.array([item_rows[item] for _, _, item, _ in keys], dtype=np.int64),
        time=np.array([time for time, *_ in keys], dtype=np.float64),
        user_ids=list(user_rows),
        rejected=rejected,
        details=[events[key] for key in keys],
    )


def _take(
    fields: dict[str, Any],
    catalogue: bool,
    problem: bool,
    items: dict[str, Item],
    events: dict[tuple[float, str, str, str], Occurrence],
) -> bool:
    """Add a row to items and events. Return False if the row is invalid.

    The time of a catalogue row is the time of the item. The time of any other row is the time of the event.
    """
    if problem:
        return False
    if catalogue or "title" in fields:
        item_fields = {name: fields[name] for name in ("item_id", "title", "topics", "text", "price") if name in fields}
        key = str(item_fields.get("item_id"))
        if key not in items or catalogue:
            appeared = {"time": fields["time"]} if catalogue and "time" in fields else {}
            item = Item.model_validate(item_fields | appeared)
            items.setdefault(item.item_id, item)
            fields["item_id"] = item.item_id
    if catalogue:
        return True
    event = Event.model_validate({name: fields[name] for name in Event.model_fields if name in fields})
    if event.item_id not in items:
        return False
    occurrence = Occurrence(event.time, event.item_id, event.event, event.rating, event.context or None)
    events.setdefault((event.time, event.user_id, event.item_id, event.event), occurrence)
    return True


def read_store(location: str) -> Log:
    """Read the log of a store.

    Raises:
        StoreError: it cannot be opened.
        DataError: it holds no event.
    """
    with open_store(location) as store:
        log = store.log
        if log.end is None:
            raise DataError(f"store {location!r} holds no event")
        items = store.items(log.item_ids)
        # The log lacks event words and ratings, so they come from the histories, which have the same order.
        details: list[Occurrence | None] = [None] * len(log.time)
        order = np.argsort(log.user, kind="stable")
        bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
        for user, user_id in enumerate(log.user_ids):
            for row, event in zip(order[bounds[user] : bounds[user + 1]], store.history(user_id), strict=True):
                details[row] = _occurrence(event)
        return Log(
            items=[items[item_id] for item_id in log.item_ids],
            user_ids=log.user_ids,
            user=log.user,
            item=log.item,
            time=log.time,
            rejected=0,
            details=[detail for detail in details if detail is not None],
        )


def events_of(log: Log) -> Iterator[EventRow]:
    """Yield the events as rows of an `InteractionLog`."""
    for row, (user, item, time) in enumerate(zip(log.user, log.item, log.time, strict=True)):
        context = log.details[row].context if log.details else None
        yield float(time), log.user_ids[user], log.items[item].item_id, context


def _occurrence(event: Interaction) -> Occurrence:
    return Occurrence(event.time, event.item_id, event.event, event.rating, event.context or None)
