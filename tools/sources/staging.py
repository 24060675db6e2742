"""Staging: the validated rows of a source in a temporary database, where they are counted, merged and ordered.

DuckDB sorts and groups more rows than memory holds, so a log may be larger than the machine.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from whimbrel.tools.clean import clean_text, same_text
from whimbrel.tools.log.event_columns import EventColumns, situation_text
from whimbrel.tools.records import Occurrence
from whimbrel.tools.sources.majority import Told, merged_facts
from whimbrel.tools.sources.rows import Batch
from whimbrel.tools.sources.validate import Fact, Validator
from whimbrel.tools.sources.vectors import Reject, ToldVector
from whimbrel.tools.store.item_records import FROM_CATALOGUE, ItemRecord
from whimbrel.tools.store.user_records import CHUNK_SIZE

T = TypeVar("T")

MEMORY_LIMIT = "1GB"
"""What DuckDB may use before it writes to the disk."""
HISTORY_ROWS = 50_000  # events read at a time
COLUMN_ROWS = 1_000_000  # events that become arrays at once
VECTOR_ROWS = 500  # vectors read at a time
MOST_ALIKE = 20

_TABLES = """
create table events (row bigint, file integer, line bigint, user_id varchar, time double, item_id varchar,
                     event varchar, rating double, context varchar, fact bigint);
create table facts (fact bigint, item_id varchar, title varchar, topics varchar, text varchar, price double,
                    image varchar, fields varchar, time double);
create table catalogue (row bigint, fact bigint);
create table images (row bigint, image varchar, file varchar, line bigint);
create table rejects (file varchar, line bigint, reason varchar, fields varchar);
create table vectors (row bigint, item_id varchar, name varchar, vector float[], digest varchar, file varchar,
                      line bigint);
"""
_EVENTS = "select user_id, time, item_id, event, rating, context from distinct_events"


@dataclass
class Counts:
    """Counts of rows.

    Attributes:
        rows: Rows of the source.
        item_rows: Rows of a catalogue in a file of its own.
        catalogue: Valid rows that describe an item and hold no event, of both.
        valid: Valid rows that hold an event.
        rejected: Rejected rows of the source.
        item_rejected: Rejected rows of a catalogue in a file of its own.
        mended: How many values of each kind were changed or left out.
    """

    rows: int = 0
    item_rows: int = 0
    catalogue: int = 0
    valid: int = 0
    rejected: int = 0
    item_rejected: int = 0
    mended: Counter[str] = field(default_factory=Counter)


class Staging:
    """A temporary database of the valid and the rejected rows of a source."""

    def __init__(self, path: Path) -> None:
        """Open the database, or make it.

        Args:
            path: The file. If another process read the source to its end into it, `is_complete` is true.
        """
        import duckdb

        self._database = duckdb.connect(
            str(path), config={"memory_limit": MEMORY_LIMIT, "preserve_insertion_order": False, "threads": 2}
        )
        self._validator = Validator()
        self._files: dict[str, int] = {}
        self._row = self._vectors = 0
        self.counts = Counts(mended=self._validator.mended)
        self.is_complete = bool(self._rows("select 1 from duckdb_tables() where table_name = 'counts'"))
        if self.is_complete:
            kept = json.loads(self._rows("select document from counts")[0][0])
            self.counts = Counts(**{**kept, "mended": Counter(kept["mended"])})
        else:
            self._database.execute(_TABLES)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add(self, batch: Batch) -> None:
        """Validate a batch and keep its rows."""
        import pyarrow as pa

        events, facts, catalogue, rejects, vectors, bad_vectors = self._validator.validate(batch)
        rows = len(batch.lines) + len(batch.unreadable)
        if batch.of_items:
            self.counts.item_rows += rows
            self.counts.item_rejected += len(rejects)
        else:
            self.counts.rows += rows
            self.counts.rejected += len(rejects)
        self.counts.catalogue += len(catalogue)
        self.counts.valid += len(events.line)
        if facts:
            columns = [list(column) for column in zip(*facts, strict=True)]
            columns[3] = [json.dumps(topics, ensure_ascii=False) for topics in columns[3]]
            types = [pa.int64(), *(pa.string(),) * 4, pa.float64(), pa.string(), pa.string(), pa.float64()]
            self._insert("facts", dict(zip((*Fact._fields,), columns, strict=True)), types)
        if catalogue:
            numbers = range(self._row, self._row + len(catalogue))
            self._insert("catalogue", {"row": list(numbers), "fact": catalogue}, [pa.int64(), pa.int64()])
            self._row += len(catalogue)
        if events.line:
            number = self._files.setdefault(batch.file, len(self._files))
            count = len(events.line)
            named = {"row": range(self._row, self._row + count), "file": [number] * count, **events._asdict()}
            order = ("row", "file", "line", "user_id", "time", "item_id", "event", "rating", "context", "fact")
            types = [pa.int64(), pa.int32(), pa.int64(), pa.string(), pa.float64(), pa.string(), pa.string()]
            types += [pa.float64(), pa.string(), pa.int64()]
            self._insert("events", {name: named[name] for name in order}, types)
            self._row += count
        self._reject(rejects)
        self._reject(bad_vectors)
        self._add_vectors(vectors)
        self._add_images(batch)

    def _add_images(self, batch: Batch) -> None:
        """Keep in which rows images are named, to say so of one that cannot be read."""
        import pyarrow as pa

        cells = zip(batch.lines, batch.columns.get("image", ()), strict=False)
        named = {str(clean_text(image)).strip(): line for line, image in reversed(list(cells)) if image}
        if named:
            rows, files = [self._row] * len(named), [batch.file] * len(named)
            columns: dict[str, Sequence[Any]] = {
                "row": rows,
                "image": list(named),
                "file": files,
                "line": list(named.values()),
            }
            self._insert("images", columns, [pa.int64(), pa.string(), pa.string(), pa.int64()])

    def _add_vectors(self, vectors: Sequence[ToldVector]) -> None:
        import pyarrow as pa

        if vectors:
            columns = dict(zip(ToldVector._fields, zip(*vectors, strict=True), strict=True))
            numbers = range(self._vectors, self._vectors + len(vectors))
            self._vectors += len(vectors)
            types = [pa.int64(), pa.string(), pa.string(), pa.list_(pa.float32()), pa.string(), pa.string(), pa.int64()]
            self._insert("vectors", {"row": numbers, **columns}, types)

    def _insert(self, table: str, columns: Mapping[str, Sequence[Any]], types: Sequence[Any]) -> None:
        import pyarrow as pa

        arrays = [pa.array(column, type_) for column, type_ in zip(columns.values(), types, strict=True)]
        self._database.register("batch", pa.table(arrays, names=list(columns)))
        self._database.execute(f"insert into {table} select * from batch")
        self._database.unregister("batch")

    def _reject(self, rejects: Sequence[Reject]) -> None:
        import pyarrow as pa

        if rejects:
            columns = [list(column) for column in zip(*rejects, strict=True)]
            columns[3] = list(map(as_json, columns[3]))
            types = [pa.string(), pa.int64(), pa.string(), pa.string()]
            self._insert("rejects", dict(zip(Reject._fields, columns, strict=True)), types)

    def finish_reading(self, unknown_to_store: Callable[[list[str]], list[str]]) -> None:
        """Reject the events of items that nothing describes, and unite equal events. Call it after the last batch.

        Args:
            unknown_to_store: Returns which of some ids the store does not know either.
        """
        # What a rejected row tells about an item does not count.
        self._database.execute(
            "delete from facts where fact not in (select fact from events union all select fact from catalogue)"
        )
        unknown = self._rows(
            "select distinct item_id from events where item_id not in (select item_id from facts where title != '')"
        )
        absent = unknown_to_store([item_id for (item_id,) in unknown])
        if absent:
            import pyarrow as pa

            self._database.register("absent", pa.table([pa.array(absent, pa.string())], names=["item_id"]))
            names = {number: name for name, number in self._files.items()}
            rows = self._rows(
                "select file, line, item_id, user_id, time, event from events "
                "where item_id in (select item_id from absent)"
            )
            rejected = [
                Reject(
                    names[file],
                    line,
                    f"title: none here, and no row describes item {item_id!r}",
                    {"user_id": user_id, "item_id": item_id, "time": time, "event": event},
                )
                for file, line, item_id, user_id, time, event in rows
            ]
            self._reject(rejected)
            self._database.execute("delete from events where item_id in (select item_id from absent)")
            self._database.unregister("absent")
            self.counts.rejected += len(rejected)
            self.counts.valid -= len(rejected)
        self._reject_other_lengths()
        # A row that repeats an event (user, time, item and word) counts once, with the values of the first such row.
        self._database.execute(
            "create table distinct_events as select user_id, time, item_id, event, min(row) as row, "
            "arg_min_null(rating, row) as rating, arg_min_null(context, row) as context "
            "from events group by user_id, time, item_id, event"
        )
        # Of equal events, each row may tell something else about the item.
        self._database.execute(
            "create table told_by_events as select fact, time, count(*) as n, min(row) as row from events "
            "where fact >= 0 group by fact, time"
        )
        self._database.execute("drop table events")
        # What a catalogue tells comes before all events. The rest is told at the time of its event.
        self._database.execute(
            "create view told as select * from told_by_events union all "
            f"select fact, {FROM_CATALOGUE!r}, count(*), min(row) from catalogue group by fact"
        )

    def _reject_other_lengths(self) -> None:
        """Reject vectors whose length is not that of most items with a vector of this kind. Of equals, the first."""
        lengths = self._rows(
            "select name, len(vector) as length, count(distinct item_id) as items from vectors group by name, length "
            "order by name, items desc, min(row)"
        )
        usual: dict[str, int] = {}
        for name, length, _ in lengths:
            usual.setdefault(name, length)
        for name, length, _ in lengths:
            if length != usual[name]:
                which = f"from vectors where name = '{name}' and len(vector) = {length}"
                reason = f"vector.{name}: {length} numbers, where most have {usual[name]}"
                rows = self._rows(f"select file, line, item_id {which} order by row")
                self._reject([Reject(file, line, reason, {"item_id": item_id}) for file, line, item_id in rows])
                self._database.execute(f"delete {which}")

    @property
    def modalities(self) -> dict[str, int]:
        """The length of the vectors of each modality, keyed by its name."""
        return dict(self._rows("select name, max(len(vector)) from vectors group by name order by name"))

    def vectors(self, name: str) -> Iterator[tuple[str, list[float], str]]:
        """Yield the id, the vector and the digest of each item that has a vector of a modality: the first one told."""
        rows = self._database.execute(
            "select item_id, arg_min(vector, row), arg_min(digest, row) from vectors where name = ? group by item_id "
            "order by item_id",
            [name],
        )
        return _paged(rows, VECTOR_ROWS)

    @property
    def with_images(self) -> list[str]:
        """The ids of the items of which a row names an image."""
        return [item_id for (item_id,) in self._rows("select distinct item_id from facts where image != '' order by 1")]

    def reject_images(self, rejects: Sequence[Reject]) -> None:
        """Note images that cannot be read, in place of those of an earlier try."""
        self._database.execute("delete from rejects where starts_with(reason, 'image: ')")
        self._reject(rejects)

    def place_of_image(self, image: str) -> tuple[str, int]:
        """Return the file and the line of the first row that names an image; ("", 0) if none does."""
        query = "select file, line from images where image = ? order by row, line limit 1"
        found = self._database.execute(query, [image]).fetchone()
        return (found[0], found[1]) if found else ("", 0)

    def reject_captions(self, rejects: Sequence[Reject]) -> None:
        """Note images without a caption, in place of those of an earlier try."""
        self._database.execute("delete from rejects where starts_with(reason, 'caption: ')")
        self._reject(rejects)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._database.execute(query).fetchall()

    def keep(self) -> None:
        """Note that the source was read to its end, so that another process can go on from here."""
        document = json.dumps({**vars(self.counts), "mended": dict(self.counts.mended)})
        self._database.execute("create table counts as select ? as document", [document])
        self.is_complete = True

    @property
    def events(self) -> int:
        """The number of distinct events."""
        return int(self._rows("select count(*) from distinct_events")[0][0])

    @property
    def users(self) -> int:
        """The number of distinct users."""
        return int(self._rows("select count(distinct user_id) from distinct_events")[0][0])

    @property
    def chunk_count(self) -> int:
        """The number of chunks in which a store keeps the histories."""
        per_user = "select count(*) as n from distinct_events group by user_id"
        return int(self._rows(f"select coalesce(sum(ceil(n / {CHUNK_SIZE})), 0) from ({per_user})")[0][0])

    @property
    def item_count(self) -> int:
        """The number of distinct items."""
        query = "select count(*) from (select item_id from facts union select item_id from distinct_events)"
        return int(self._rows(query)[0][0])

    @property
    def span(self) -> tuple[float, float] | None:
        """The times of the first and the last event; None if there is none."""
        first, last = self._rows("select min(time), max(time) from distinct_events")[0]
        return None if first is None else (first, last)

    def event_words(self) -> dict[str, int]:
        """Return how often each event word occurs, the most frequent first."""
        return dict(
            self._rows("select event, count(*) from distinct_events group by event order by count(*) desc, event")
        )

    def reject_reasons(self) -> list[tuple[str, int, int]]:
        """Return each kind of rejection: its first reason, its count and its first line, the most frequent first."""
        kinds: dict[str, tuple[str, int, int]] = {}
        query = "select reason, count(*), min(line) from rejects group by reason order by min(line), reason"
        for reason, count, line in self._rows(query):
            example, before, first = kinds.get(_kind(reason), (reason, 0, line))
            kinds[_kind(reason)] = example, before + count, first
        return sorted(kinds.values(), key=lambda row: (-row[1], row[0]))

    @property
    def has_rejects(self) -> bool:
        """Whether a row, a vector or an image was rejected."""
        return bool(self._rows("select 1 from rejects limit 1"))

    def rejected_parts(self, reason: str) -> int:
        """Return how many rejects have a reason that begins so."""
        return int(self._rows(f"select count(*) from rejects where starts_with(reason, '{reason}')")[0][0])

    def rejects(self) -> Iterator[dict[str, Any]]:
        """Yield the rejected rows in order: file, line, reason and fields."""
        rows = self._database.execute("select file, line, reason, fields from rejects order by file, line")
        while page := rows.fetchmany(1000):
            for file, line, reason, fields in page:
                yield {"file": file, "line": line, "reason": reason, "fields": json.loads(fields)}

    def items(self, spelling: Mapping[str, str]) -> Iterator[ItemRecord]:
        """Yield each item with the facts that most rows tell.

        Args:
            spelling: The spelling of topics, keyed by `same_text`.
        """
        for item_id, rows in self.told():
            record = merged_facts(item_id, rows, spelling)
            if record is not None:
                yield record

    def told(self) -> Iterator[tuple[str, list[Told]]]:
        """Yield the id of each item and what the rows tell about it, in order of time."""
        # Of an item that has one fact, only the earliest time matters.
        rows = self._database.execute(
            "with several as (select item_id from facts group by item_id having count(*) > 1), "
            "runs as (select fact, time, n, row from told "
            "semi join (facts semi join several using (item_id)) using (fact) "
            "union all select fact, min(time), sum(n)::bigint, min(row) from told "
            "semi join (facts anti join several using (item_id)) using (fact) group by fact) "
            "select item_id, title, topics, text, price, image, fields, facts.time, runs.time, n "
            "from facts join runs using (fact) order by item_id, runs.time, row"
        )
        for item_id, group in groupby(map(Told._make, _paged(rows)), key=lambda told: told.item_id):
            yield item_id, list(group)

    def spelling(self, known: Iterable[str]) -> dict[str, str]:
        """Return how topics are spelled: as in the store, otherwise as most rows spell them.

        Args:
            known: The topics of the store.

        Returns:
            The spelling keyed by `same_text`.
        """
        counts: Counter[str] = Counter()
        rows = self._rows(
            "select topics, sum(n) from facts join told using (fact) where topics != '[]' group by topics"
        )
        for text, count in rows:
            for topic in json.loads(text):
                counts[topic] += int(count)
        spelling = {same_text(topic): topic for topic in sorted(counts, key=lambda topic: (counts[topic], topic))}
        spelling |= {same_text(topic): topic for topic in known if same_text(topic) in spelling}
        united = sum(counts.values()) - sum(counts[topic] for topic in set(spelling.values()))
        if united:
            self.counts.mended["topics: spelling united"] += united
        return spelling

    def event_columns(self, item_ids: Sequence[str]) -> EventColumns:
        """Return all events as arrays.

        Args:
            item_ids: The ids of the items, sorted. They include those of all events.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        user_ids = [
            user_id for (user_id,) in self._rows("select distinct user_id from distinct_events order by user_id")
        ]
        contexts = [text for (text,) in self._rows("select distinct context from distinct_events order by context")]
        names = [pa.array(user_ids, pa.string()), pa.array(item_ids, pa.string()), pa.array(contexts, pa.string())]
        times, rows = [np.empty(0)], [np.empty((3, 0), dtype=np.int64)]
        query = self._database.sql("select time, user_id, item_id, context from distinct_events")
        reader: Any = query.to_arrow_reader(COLUMN_ROWS)
        for batch in reader:
            time, *texts = batch.columns
            times.append(time.to_numpy(zero_copy_only=False))
            pairs = zip(texts, names, strict=True)
            rows.append(np.stack([pc.index_in(column, of).to_numpy(zero_copy_only=False) for column, of in pairs]))
        user, item, situation = np.concatenate(rows, axis=1).astype(np.int64)
        situations = [situation_text(json.loads(text)) if text else "" for text in contexts]
        return EventColumns(np.concatenate(times), user, item, situation, user_ids, situations)

    def item_order(self) -> dict[str, int]:
        """Return the first row that tells something about each item, keyed by id."""
        query = (
            "select item_id, min(row) from (select item_id, row from catalogue join facts using (fact) "
            "union all select item_id, row from distinct_events) group by item_id"
        )
        return dict(self._rows(query))

    def events_in_time(self) -> Iterator[tuple[str, Occurrence]]:
        """Yield each user's id and event, in order of time, then of user, item and word."""
        rows = self._database.execute(f"{_EVENTS} order by time, user_id, item_id, event")
        for row in _paged(rows, HISTORY_ROWS):
            yield row[0], _occurrence(row)

    def histories(self) -> Iterator[tuple[str, list[Occurrence]]]:
        """Yield each user's events in order of `Occurrence.key`."""
        rows = self._database.execute(f"{_EVENTS} order by user_id, time, item_id, event")
        for user_id, group in groupby(_paged(rows, HISTORY_ROWS), key=itemgetter(0)):
            yield user_id, [_occurrence(row) for row in group]


def _occurrence(row: tuple[Any, ...]) -> Occurrence:
    _, time, item_id, event, rating, context = row
    return Occurrence(time, item_id, event, rating, json.loads(context) if context else None)


def as_json(fields: Mapping[str, Any]) -> str:
    """Return the fields of a rejected row as JSON. If JSON cannot hold a value (such as NaN), all become texts."""
    try:
        text = json.dumps(dict(fields), default=str, allow_nan=False)
    except ValueError:
        text = json.dumps({name: str(value) for name, value in fields.items()})
    return text


def _paged(rows: Any, size: int = 5000) -> Iterator[tuple[Any, ...]]:
    while page := rows.fetchmany(size):
        yield from page


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the values in lists of `size`; the last one may be shorter."""
    batch: list[T] = []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _kind(reason: str) -> str:
    """Return a reason without the value that it names: `time ... is in no known format`."""
    return re.sub(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"|(?<![\w-])-?\d[\d.e+]*", "...", reason)


def look_alike(topics: Iterable[str]) -> list[list[str]]:
    """Return groups of topics that differ only in marks, spaces or a plural, and yet count as different."""
    groups: dict[str, set[str]] = {}
    for topic in topics:
        groups.setdefault(_bare(topic), set()).add(topic)
    return sorted(sorted(group) for key, group in groups.items() if len(group) > 1 and key)[:MOST_ALIKE]


def _bare(topic: str) -> str:
    """Return a topic without marks and plural: `T-Shirts` and `T Shirt` look alike."""
    letters = re.sub(r"[\W_]+", "", same_text(topic))
    return letters[:-1] if len(letters) > 3 and letters.endswith("s") else letters
