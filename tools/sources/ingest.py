"""Ingestion: validate, deduplicate and order the rows of a source, and write them to a store.

No row is dropped silently: each is counted as an event, an item, a repeat or a reject. The source is first read to its
end into a temporary database. Only then is the store changed, so a source that cannot be read leaves the store as it
was. Every write can be repeated. Running a killed ingestion again completes it. Running a completed one again changes
nothing.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Event, Item, Occurrence
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.store.store import FROM_CATALOGUE, ItemRecord, Store, open_store
from whimbrel.tools.text.encoder import encode, encoder_text

ITEM_FIELDS = frozenset({"item_id", "title", "topics", "text", "price", "image", "fields"})
EVENT_FIELDS = frozenset({"user_id", "time", "event", "rating", "context"})
BATCH_SIZE = 1000
MOST_VALIDATED = 100_000
"""Most validated items kept in memory.

A log repeats an item with every event of it, and a look-up is faster than another validation.
"""

T = TypeVar("T")

_TABLES = """
create table items (item_id text primary key, title text, item text, known_since real) without rowid;
create table events (user_id text, time real, item_id text, event text, rating real, context text,
                     primary key (user_id, time, item_id, event)) without rowid;
create table rejects (file text, line integer, reason text, fields text);
"""
# The earliest facts of an item win. Later facts only fill in what the earlier ones left out. Otherwise, an item could
# have a name at a past moment that it got only afterwards.
_MERGE_ITEM = """
insert into items values (?, ?, ?, ?) on conflict (item_id) do update set
    item = case when excluded.known_since <= known_since
           then json_patch(item, excluded.item) else json_patch(excluded.item, item) end,
    title = case when excluded.known_since <= known_since then excluded.title else title end,
    known_since = min(known_since, excluded.known_since)
"""


@dataclass(frozen=True)
class Ingested:
    """What an ingestion read and wrote.

    Attributes:
        rows: Rows of the source: `catalogue + events + repeated + rejected`.
        catalogue: Rows that describe an item and hold no event.
        events: Distinct events of the source.
        new_events: Events that the store did not hold before.
        users: Distinct users of the source.
        items: Distinct items of the source.
        new_items: Items that the store did not hold before, or of which it did not hold all facts.
        repeated: Rows that repeat an event.
        rejected: Rows that are not valid.
        rejects: The file of the rejected rows; None if there are none.
    """

    rows: int
    catalogue: int
    events: int
    new_events: int
    users: int
    items: int
    new_items: int
    repeated: int
    rejected: int
    rejects: Path | None


def ingest(source: Source, location: str | Path, *, command: str = "", progress: Progress | None = None) -> Ingested:
    """Write the rows of a source to the store at `location`. The store is created if it does not exist.

    Args:
        source: The rows (see `open_source`).
        location: A folder, or the address of a Chroma server.
        command: The source as given on the command line, which the error about an interrupted ingestion shows. The
            default is the name of the source.
        progress: Shows the progress of the ingestion.

    Raises:
        DataError: The source cannot be read to its end, or none of its rows is valid.
        StoreError: The store is locked, was made with another encoder, or fails.

    Example:
        ```python
        ingested = ingest(open_source("orders.csv"), "shop")
        print(ingested.events, ingested.rejected)
        ```
    """
    progress = progress or NoProgress()
    # An existing store is opened before the source is read, so that a lock or a wrong encoder is reported at once. A
    # new store is created only after the source was read, so that an unreadable source leaves no empty store behind.
    store = open_store(location, create=True, writing=True) if _exists(location) else None
    try:
        with closing(sqlite3.connect("")) as staging:
            rows, catalogue = _stage(source, staging, progress)
            counts = _counts(staging)
            if not counts["events"] and counts["rejects"]:
                raise DataError(f"no valid row among {rows} of {source.name!r}: {_most_common_reasons(staging)}")
            if not counts["events"]:
                raise DataError(f"{source.name!r} holds no events")
            store = store or open_store(location, create=True, writing=True)
            store.begin(command or source.name)
            new_items = _write_items(staging, store, progress)
            new_events = _write_histories(staging, store, counts["users"], progress)
            progress.step("Indexing", None)
            store.finish(command or source.name)
            rejects = _write_rejects(staging, store.folder / "rejects" / f"{source.name}.jsonl")
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the ingestion stopped ({error}): is the disk full? Run it again to complete it") from error
    finally:
        if store:
            store.close()
    return Ingested(
        rows=rows,
        catalogue=catalogue,
        repeated=rows - catalogue - counts["events"] - counts["rejects"],
        events=counts["events"],
        new_events=new_events,
        users=counts["users"],
        items=counts["items"],
        new_items=new_items,
        rejected=counts["rejects"],
        rejects=rejects,
    )


def _exists(location: str | Path) -> bool:
    """Return whether a store may exist at a location.

    Opening the store settles it: opening asks the server, and refuses a file in place of a folder.
    """
    folder = Path(location)
    is_address = str(location).startswith(("http://", "https://"))
    return is_address or folder.is_file() or (folder / "chroma.sqlite3").is_file()


def _stage(source: Source, staging: sqlite3.Connection, progress: Progress) -> tuple[int, int]:
    """Write the validated rows to the temporary database. Its primary keys merge equal events and order all events.

    Returns:
        The number of all rows, and the number of valid rows that only describe an item.
    """
    # The database is temporary, so nothing in it needs to survive a crash. The cache keeps 256 MB of pages in memory.
    staging.executescript("pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-262144;" + _TABLES)
    progress.step(f"Reading {source.name}", source.total)
    titled_ids: set[str] = set()
    validated: dict[str, Item] = {}
    count, catalogue, position = 0, 0, 0
    for batch in _batches(source.rows, BATCH_SIZE):
        items, events, rejects = [], [], []
        for row in batch:
            count += 1
            try:
                item, event = _validate(row, titled_ids, validated)
            except _RejectedError as rejected:
                rejects.append((row.file, row.line, str(rejected), _as_json(row.fields)))
                continue
            if item is not None:
                known_since = FROM_CATALOGUE if event is None else event.time
                items.append((item.item_id, item.title, item.model_dump_json(exclude_defaults=True), known_since))
            catalogue += event is None
            if event is not None:
                context = json.dumps(event.context, sort_keys=True) if event.context else None
                events.append((event.user_id, event.time, event.item_id, event.event, event.rating, context))
        staging.executemany(_MERGE_ITEM, items)
        staging.executemany("insert or ignore into events values (?, ?, ?, ?, ?, ?)", events)
        staging.executemany("insert into rejects values (?, ?, ?, ?)", rejects)
        progress.advance(batch[-1].position - position)
        position = batch[-1].position
    return count, catalogue


class _RejectedError(Exception):
    """A row is not valid. The message says why."""


def _validate(row: Row, titled_ids: set[str], validated: dict[str, Item]) -> tuple[Item | None, Event | None]:
    """Return the item and the event of a row.

    The event is None for a row of a catalogue. The item is None if the row gives only the id of an item that an
    earlier row described.

    Args:
        row: The row.
        titled_ids: Ids of the items that the rows so far described. The item of this row is added.
        validated: Items keyed by the text of their fields, so that equal fields are validated once. The item of this
            row is added.

    Raises:
        _RejectedError: The row is not valid.
    """
    if row.problem:
        raise _RejectedError(row.problem)
    fields = row.fields
    try:
        item = None
        if row.catalogue or "title" in fields or "item_id" not in fields:
            item_fields = {name: value for name, value in fields.items() if name in ITEM_FIELDS}
            if row.catalogue and "time" in fields:
                item_fields["time"] = fields["time"]
            key = repr(item_fields)
            item = validated.get(key) or Item.model_validate(item_fields)
            if len(validated) > MOST_VALIDATED:
                validated.clear()
            validated[key] = item
            titled_ids.add(item.item_id)
        if row.catalogue:
            return item, None
        event_fields = {name: value for name, value in fields.items() if name in EVENT_FIELDS}
        event = Event.model_validate({"item_id": item.item_id if item else fields["item_id"], **event_fields})
    except ValidationError as error:
        raise _RejectedError(_reason(error)) from None
    if event.item_id not in titled_ids:
        raise _RejectedError(f"title: none here, and item {event.item_id!r} is in no row before")
    return item, event


def _reason(error: ValidationError) -> str:
    problems = {
        ".".join(map(str, problem["loc"])) or "row": problem["msg"].removeprefix("Value error, ")
        for problem in error.errors(include_url=False, include_context=False)
    }
    if "title" in problems and problems.get("item_id") == "Field required":
        del problems["item_id"]  # a missing id is derived from the title, so only the title is reported
    return "; ".join(f"{name}: {problem}" for name, problem in problems.items())


def _counts(staging: sqlite3.Connection) -> dict[str, int]:
    counts = {
        name: staging.execute(f"select count(*) from {name}").fetchone()[0] for name in ("items", "events", "rejects")
    }
    counts["users"] = staging.execute("select count(distinct user_id) from events").fetchone()[0]
    return counts


def _most_common_reasons(staging: sqlite3.Connection) -> str:
    rows = staging.execute(
        "select reason, count(*) as n, min(line) from rejects group by reason order by n desc limit 2"
    )
    return "; ".join(f"{reason} ({n}, first at line {line})" for reason, n, line in rows)


def _write_items(staging: sqlite3.Connection, store: Store, progress: Progress) -> int:
    """Encode and write the items that are new or have new facts. Return the number of these items."""
    (total,) = staging.execute("select count(*) from items").fetchone()
    progress.step("Encoding items", total)
    topics: set[str] = set()
    written = 0
    # The items are ordered by title, so that equal titles are in one batch and are encoded once.
    rows = staging.execute("select item, known_since from items order by title, item_id")
    for batch in _batches(rows, BATCH_SIZE):
        staged = [ItemRecord(Item.model_validate_json(text), known_since) for text, known_since in batch]
        stored = store.item_records([record.item.item_id for record in staged])
        merged = [_merged(stored.get(record.item.item_id), record) for record in staged]
        topics.update(topic for record in merged for topic in record.item.topics)
        changed = [record for record in merged if stored.get(record.item.item_id) != record]
        if changed:
            store.put_items(changed, encode([encoder_text(record.item) for record in changed]))
            written += len(changed)
        progress.advance(len(batch))
    new_topics = sorted(topics - store.topic_names())
    if new_topics:
        store.put_topics(new_topics, encode(new_topics))
    return written


def _merged(stored: ItemRecord | None, staged: ItemRecord) -> ItemRecord:
    """Merge two records of an item. The facts that became known first win; the other record fills in the rest.

    If both became known at the same time, the staged facts win, so that a corrected source can be read again.
    """
    if stored is None:
        return staged
    earlier, later = (staged, stored) if staged.known_since <= stored.known_since else (stored, staged)
    facts = {name: getattr(earlier.item, name) for name in earlier.item.model_fields_set}
    facts["fields"] = later.item.fields | earlier.item.fields
    return ItemRecord(later.item.model_copy(update=facts), earlier.known_since)


def _as_json(fields: Mapping[str, Any]) -> str:
    """Return the fields of a rejected row as JSON. If JSON cannot hold a value (such as NaN), all become texts."""
    try:
        return json.dumps(dict(fields), default=str, allow_nan=False)
    except ValueError:
        return json.dumps({name: str(value) for name, value in fields.items()})


def _write_histories(staging: sqlite3.Connection, store: Store, users: int, progress: Progress) -> int:
    progress.step("Writing histories", users)
    rows = staging.execute("select * from events order by user_id, time, item_id, event")
    histories = (
        (user_id, [_occurrence(row) for row in group]) for user_id, group in groupby(rows, key=lambda row: row[0])
    )
    new_events = 0
    for batch in _batches(histories, BATCH_SIZE // 2):
        new_events += store.merge_histories(dict(batch))
        progress.advance(len(batch))
    return new_events


def _occurrence(row: tuple[Any, ...]) -> Occurrence:
    _, time, item_id, event, rating, context = row
    return Occurrence(time, item_id, event, rating, json.loads(context) if context else None)


def _write_rejects(staging: sqlite3.Connection, path: Path) -> Path | None:
    """Write the rejected rows, one JSON document per line: file, line, reason and the fields of the row."""
    rows = staging.execute("select * from rejects order by file, line").fetchall()
    if not rows:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for name, line, reason, fields in rows:
            document = {"file": name, "line": line, "reason": reason, "fields": json.loads(fields)}
            file.write(json.dumps(document, ensure_ascii=True) + "\n")
    return path


def _batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
