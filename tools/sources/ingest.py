"""A source of rows into a store: validate, deduplicate, order; nothing is dropped silently.

The source is read to its end into a temporary database before the store is touched, so a source that cannot be
read leaves the store as it was. Every write can be repeated: run again, an ingestion that was killed completes
and one that had completed changes nothing.
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
from whimbrel.tools.store.store import EVER, Store, open_store
from whimbrel.tools.text.encoder import encode, encoder_text

ITEM_FIELDS = frozenset({"item_id", "title", "topics", "text", "price", "image"})
EVENT_FIELDS = frozenset({"user_id", "time", "event", "rating", "context"})
BATCH = 1000
REMEMBERED = 100_000
"""Validated items kept, so that rows of one item are not validated again and again."""

T = TypeVar("T")

_TABLES = """
create table items (item_id text primary key, title text, item text, told real) without rowid;
create table events (user_id text, time real, item_id text, event text, rating real, context text,
                     primary key (user_id, time, item_id, event)) without rowid;
create table rejects (file text, line integer, reason text, fields text);
"""
_TELL = """
insert into items values (?, ?, ?, ?) on conflict (item_id) do update set
    item = case when excluded.told <= told
           then json_patch(item, excluded.item) else json_patch(excluded.item, item) end,
    title = case when excluded.told <= told then excluded.title else title end,
    told = min(told, excluded.told)
"""
"""What is told of an item first holds, and what is told later only adds to it: no name of the future comes in."""


@dataclass(frozen=True)
class Ingested:
    """What an ingestion did: `rows` are those of a `catalogue` of items, events, repeats of them, and rejected ones.

    `rejects` is the file of the rejected rows, None where there were none.
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
    """Bring a source into the store at `location`, which is made where there is none.

    `command` is the source as given on a command line; an interrupted store shows it in its error.

    Raises:
        DataError: the source cannot be read to its end, or no row of it is valid.
        StoreError: the store is locked, of another encoder, or fails.
    """
    progress = progress or NoProgress()
    folder = Path(location)
    exists = (
        str(location).startswith(("http://", "https://")) or folder.is_file() or (folder / "chroma.sqlite3").is_file()
    )
    early = open_store(location, create=True, writing=True) if exists else None
    try:
        with closing(sqlite3.connect("")) as staging:
            rows, catalogue = _stage(source, staging, progress)
            counts = _counts(staging)
            if not counts["events"] and counts["rejects"]:
                raise DataError(f"no valid row among {rows} of {source.name!r}: {_most_common_reasons(staging)}")
            if not counts["events"]:
                raise DataError(f"{source.name!r} holds no events")
            store = early or open_store(location, create=True, writing=True)
            with store:
                store.begin(command or source.name)
                new_items = _write_items(staging, store, progress)
                new_events = _write_histories(staging, store, counts["users"], progress)
                progress.step("Indexing", None)
                store.finish(command or source.name)
                rejects = _write_rejects(staging, store.folder / "rejects" / f"{source.name}.jsonl")
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"the ingestion stopped ({error}): is the disk full? Run it again to complete it") from error
    finally:
        if early:
            early.close()
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


def _stage(source: Source, staging: sqlite3.Connection, progress: Progress) -> tuple[int, int]:
    """Validated rows into the temporary database, where equal events meet and are put in order.

    Returns how many rows there were, and how many valid ones of a catalogue.
    """
    staging.executescript("pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-262144;" + _TABLES)
    progress.step(f"Reading {source.name}", source.total)
    known: set[str] = set()
    validated: dict[str, Item] = {}
    count, catalogue, position = 0, 0, 0
    for batch in _batches(source.rows, BATCH):
        items, events, rejects = [], [], []
        for row in batch:
            count += 1
            try:
                item, event = _validate(row, known, validated)
            except _RejectedError as rejected:
                rejects.append((row.file, row.line, str(rejected), _as_json(row.fields)))
                continue
            if item is not None:
                told = EVER if event is None else event.time
                items.append((item.item_id, item.title, item.model_dump_json(exclude_defaults=True), told))
            catalogue += event is None
            if event is not None:
                context = json.dumps(event.context, sort_keys=True) if event.context else None
                events.append((event.user_id, event.time, event.item_id, event.event, event.rating, context))
        staging.executemany(_TELL, items)
        staging.executemany("insert or ignore into events values (?, ?, ?, ?, ?, ?)", events)
        staging.executemany("insert into rejects values (?, ?, ?, ?)", rejects)
        progress.advance(batch[-1].position - position)
        position = batch[-1].position
    return count, catalogue


class _RejectedError(Exception):
    """Why a row is not taken."""


def _validate(row: Row, known: set[str], validated: dict[str, Item]) -> tuple[Item | None, Event | None]:
    """The item and the event of a row: a row of a catalogue has no event, one that names a known item no item.

    `known` holds the ids of items with a title, `validated` the latest items by what their rows said.
    """
    if row.problem:
        raise _RejectedError(row.problem)
    fields = row.fields
    try:
        item = None
        if row.catalogue or "title" in fields or "item_id" not in fields:
            own = {name: value for name, value in fields.items() if name in ITEM_FIELDS}
            if row.catalogue and "time" in fields:
                own["time"] = fields["time"]
            item = validated.get(repr(own)) or Item.model_validate(own)
            if len(validated) > REMEMBERED:
                validated.clear()
            validated[repr(own)] = item
            known.add(item.item_id)
        if row.catalogue:
            return item, None
        own = {name: value for name, value in fields.items() if name in EVENT_FIELDS}
        event = Event.model_validate({"item_id": item.item_id if item else fields["item_id"], **own})
    except ValidationError as error:
        raise _RejectedError(_reason(error)) from None
    if event.item_id not in known:
        raise _RejectedError(f"title: none here, and item {event.item_id!r} is in no row before")
    return item, event


def _reason(error: ValidationError) -> str:
    problems = {
        ".".join(map(str, problem["loc"])) or "row": problem["msg"].removeprefix("Value error, ")
        for problem in error.errors(include_url=False, include_context=False)
    }
    if "title" in problems and problems.get("item_id") == "Field required":
        del problems["item_id"]  # it would be derived from the title
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
    """Encode and write items that are new or say something new; returns how many."""
    (total,) = staging.execute("select count(*) from items").fetchone()
    progress.step("Encoding items", total)
    topics: set[str] = set()
    written = 0
    rows = staging.execute("select item, told from items order by title, item_id")  # equal titles are encoded together
    for batch in _batches(rows, BATCH):
        given = [(Item.model_validate_json(text), told) for text, told in batch]
        stored = store.told([item.item_id for item, _ in given])
        merged = [_merged(stored.get(item.item_id), item, told) for item, told in given]
        topics.update(topic for item, _ in merged for topic in item.topics)
        changed = [(item, told) for item, told in merged if stored.get(item.item_id) != (item, told)]
        if changed:
            items = [item for item, _ in changed]
            store.put_items(items, encode([encoder_text(item) for item in items]), [told for _, told in changed])
            written += len(changed)
        progress.advance(len(batch))
    new_topics = sorted(topics - store.topic_names())
    if new_topics:
        store.put_topics(new_topics, encode(new_topics))
    return written


def _merged(stored: tuple[Item, float] | None, new: Item, told: float) -> tuple[Item, float]:
    """What was told first, or again at the same time, and what only the other one knew."""
    if stored is None:
        return new, told
    old, before = stored
    first, second = (old, new) if told <= before else (new, old)
    item = first.model_copy(update={name: getattr(second, name) for name in second.model_fields_set})
    return item, min(told, before)


def _as_json(fields: Mapping[str, Any]) -> str:
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
    added = 0
    for batch in _batches(histories, BATCH // 2):
        added += store.merge_histories(dict(batch))
        progress.advance(len(batch))
    return added


def _occurrence(row: tuple[Any, ...]) -> Occurrence:
    _, time, item_id, event, rating, context = row
    return Occurrence(time, item_id, event, rating, json.loads(context) if context else None)


def _write_rejects(staging: sqlite3.Connection, path: Path) -> Path | None:
    """Rejected rows, one JSON document a line: file, line, reason and what the row held."""
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
