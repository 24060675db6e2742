"""A whole log in memory, as arrays ordered by time. It is read from any source or store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import EventRow, Ints
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Interaction, Item, Occurrence
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staged import staged
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
    with staged(source, progress) as staging:
        spelling = staging.spelling(())
        order = staging.item_order()
        items = sorted((record.item for record in staging.items(spelling)), key=lambda item: order[item.item_id])
        item_rows = {item.item_id: number for number, item in enumerate(items)}
        user_rows: dict[str, int] = {}
        users, events = [], []
        for user_id, event in staging.events_in_time():
            users.append(user_rows.setdefault(user_id, len(user_rows)))
            events.append(event)
        rejected = staging.counts.rejected + staging.counts.item_rejected
    return Log(
        items=items,
        user=np.array(users, dtype=np.int64),
        item=np.array([item_rows[event.item_id] for event in events], dtype=np.int64),
        time=np.array([event.time for event in events], dtype=np.float64),
        user_ids=list(user_rows),
        rejected=rejected,
        details=events,
    )


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
