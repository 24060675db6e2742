"""Validate batches: texts become values, item facts and events, and every fault is counted.

Only what an event cannot do without rejects its row: who, what and when. An optional value that makes no sense is left
out and counted. Equal texts are validated once.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from whimbrel.tools.clean import clean_text
from whimbrel.tools.fields import LONGEST_FIELD, MOST_FIELDS, typed
from whimbrel.tools.records import (
    LONGEST_EVENT,
    LONGEST_ID,
    LONGEST_IMAGE,
    LONGEST_TEXT,
    LONGEST_TITLE,
    MOST_TOPICS,
    clean_identifier,
    item_id_of,
)
from whimbrel.tools.sources.cells import amount, grade, is_absent, listed, unescaped
from whimbrel.tools.sources.rows import VECTOR, Batch, Styles
from whimbrel.tools.sources.vectors import Reject, ToldVector, VectorReader

T = TypeVar("T")

MOST_REMEMBERED = 500_000
"""Most distinct texts of a column, or facts of items, that are remembered."""
MOST_CHARACTERS = 50_000_000
"""Most characters of the texts of one kind that are remembered."""
NO_FACT = -1
"""The fact of an event that only names its item."""
ITEM_COLUMNS = ("item_id", "title", "topics", "text", "price", "image")


class Fact(NamedTuple):
    """What a row tells about an item.

    Attributes:
        number: The number of the fact.
        item_id: The id of the item.
        title: Its title; "" if the row has none.
        topics: Its topics.
        text: Its description.
        price: Its price.
        image: Its image.
        fields: Its further facts as a JSON object; "" if there are none.
        time: When it appeared, in Unix seconds, of a row of a catalogue.
    """

    number: int
    item_id: str
    title: str
    topics: tuple[str, ...]
    text: str
    price: float | None
    image: str | None
    fields: str
    time: float | None = None


class Events(NamedTuple):
    """Valid events as columns of equal length."""

    line: list[int]
    user_id: list[str]
    time: list[float]
    item_id: list[str]
    event: list[str]
    rating: list[float | None]
    context: list[str | None]
    fact: list[int]


class Valid(NamedTuple):
    """A validated batch.

    Attributes:
        events: The events.
        facts: The facts that no earlier batch had.
        catalogue: The numbers of the facts that the rows of a catalogue tell.
        rejects: The rejected rows.
        vectors: The vectors of items.
        bad_vectors: Vectors that cannot be read. Their rows are kept.
    """

    events: Events
    facts: list[Fact]
    catalogue: list[int]
    rejects: list[Reject]
    vectors: list[ToldVector]
    bad_vectors: list[Reject]


class _Fault(NamedTuple):
    """Why a text is no value."""

    reason: str


class _Memo(dict[Any, Any]):
    """The values of texts. A text is converted when it is first asked for."""

    def __init__(self, convert: Callable[[Any], object]) -> None:
        super().__init__()
        self.convert = convert
        self.characters = 0

    def __missing__(self, key: Any) -> object:
        try:
            value = self.convert(key)
        except ValueError as error:
            value = _Fault(str(error))
        self.characters += _characters(key)
        if len(self) > MOST_REMEMBERED or self.characters > MOST_CHARACTERS:
            self.clear()
            self.characters = 0
        self[key] = value
        return value


class Validator:
    """Validates the batches of a source, one after the other.

    Attributes:
        mended: How many values of each kind were changed or left out.
    """

    def __init__(self) -> None:
        self.mended: Counter[str] = Counter()
        self._count = 0
        self._new: list[Fact] = []
        self._memos: dict[tuple[str, Styles, bool], _Memo] = {}
        self._known: dict[tuple[Any, ...], int] = {}
        self._characters = 0
        self._vectors = VectorReader()

    def validate(self, batch: Batch) -> Valid:
        """Return the values of a batch."""
        rejects = [Reject(batch.file, line, reason, fields) for line, reason, fields in batch.unreadable]
        self._new = []
        bad: dict[int, list[str]] = {}
        facts = self._facts(batch)
        _note(bad, facts, "")
        if batch.catalogue:
            numbers = [fact[1] for fact in facts if type(fact) is not _Fault]
            rejects += self._rejected(batch, bad)
            vectors, bad_vectors = self._vectors.read(batch, facts, bad)
            nothing = Events([], [], [], [], [], [], [], [])
            return Valid(nothing, self._new, numbers, rejects, vectors, bad_vectors)
        users = self._converted(batch, "user_id", _identified)
        times: list[Any] | None = batch.styles.time.column(batch.columns.get("time") or [])
        if not times:
            times = self._converted(batch, "time", batch.styles.time.seconds)
        _note(bad, users, "user_id: ")
        _note(bad, times, "")
        events = self._events(batch)
        ratings = self._optional(batch, "rating", grade)
        contexts = self._contexts(batch)
        vectors, bad_vectors = self._vectors.read(batch, facts, bad)
        columns: list[Sequence[Any]] = [batch.lines, users, times, events, ratings, contexts, facts]
        if bad:
            kept = [row for row in range(len(batch.lines)) if row not in bad]
            columns = [[column[row] for row in kept] for column in columns]
            rejects += self._rejected(batch, bad)
        lines, users, times, events, ratings, contexts, facts = map(list, columns)
        items, numbers = [fact[0] for fact in facts], [fact[1] for fact in facts]
        valid = Events(lines, users, times, items, events, ratings, contexts, numbers)
        return Valid(valid, self._new, [], rejects, vectors, bad_vectors)

    def _rejected(self, batch: Batch, bad: Mapping[int, list[str]]) -> list[Reject]:
        def fields(row: int) -> dict[str, str]:
            cells = ((name, column[row]) for name, column in batch.columns.items())
            return {name: text for name, text in cells if text not in (None, "") and not name.startswith(VECTOR)}

        return [
            Reject(batch.file, batch.lines[row], "; ".join(reasons), fields(row))
            for row, reasons in sorted(bad.items())
        ]

    def _memo(self, name: str, batch: Batch, convert: Callable[[str], object]) -> _Memo:
        key = (name, batch.styles, False)
        if key not in self._memos:
            self._memos[key] = _Memo(lambda text: None if is_absent(text) else convert(text))
        return self._memos[key]

    def _converted(
        self, batch: Batch, name: str, convert: Callable[[str], object], *, default: object = None
    ) -> list[Any]:
        """Return the values of a needed column. An absent value is the default, or a fault if there is none."""
        column = batch.columns.get(name)
        absent = default if default is not None else _Fault("none here" if name != "time" else "time: none here")
        if column is None:
            return [absent] * len(batch.lines)
        values = list(map(self._memo(name, batch, convert).__getitem__, column))
        return [absent if value is None else value for value in values] if None in values else values

    def _events(self, batch: Batch) -> list[Any]:
        """Return the event word of each row. Without such words, a negative quantity or price is a return."""
        if "event" in batch.columns:
            return self._converted(batch, "event", _event, default="interaction")
        words = ["interaction"] * len(batch.lines)
        for column in [batch.columns[name] for name in ("quantity", "price") if name in batch.columns]:
            for row, text in enumerate(column):
                if text and _NEGATIVE.match(text):
                    words[row] = "return"
        returns = words.count("return")
        if returns:
            self.mended["event: a negative quantity or price is a return"] += returns
        return words

    def _optional(self, batch: Batch, name: str, convert: Callable[[str], T]) -> list[T | None]:
        """Return the values of an optional column. What makes no sense is left out and counted."""
        column = batch.columns.get(name)
        if column is None:
            return [None] * len(batch.lines)
        values = list(map(self._memo(name, batch, convert).__getitem__, column))
        faults = sum(type(value) is _Fault for value in values)
        if faults:
            self.mended[f"{name} left out: unreadable"] += faults
            values = [None if type(value) is _Fault else value for value in values]
        return values

    def _contexts(self, batch: Batch) -> list[str | None]:
        """Return the situation of each row as a JSON object of texts, or None."""
        names = [name for name in batch.columns if name.startswith("context.")]
        if not names:
            return [None] * len(batch.lines)

        def situation(texts: Sequence[str | None]) -> str | None:
            cells = {name[len("context.") :][:40]: _shown(text) for name, text in zip(names, texts, strict=True)}
            known = {name: text for name, text in cells.items() if text}
            return json.dumps(known, sort_keys=True, ensure_ascii=False) if known else None

        memo = _Memo(situation)
        return list(map(memo.__getitem__, zip(*(batch.columns[name] for name in names), strict=True)))

    def _facts(self, batch: Batch) -> list[Any]:
        """Return for each row the id of its item and the number of its fact, or a fault."""
        names = [name for name in batch.columns if name in ITEM_COLUMNS or name.startswith("field.")]
        if batch.catalogue and "time" in batch.columns:
            names.append("time")
        if not names:
            return [_Fault("item_id: none here; title: none here")] * len(batch.lines)
        key = ("\0".join(names), batch.styles, batch.catalogue)
        if key not in self._memos:
            self._memos[key] = _Memo(
                lambda texts: self._fact(dict(zip(names, texts, strict=True)), batch.styles, catalogue=batch.catalogue)
            )
        memo = self._memos[key]
        rows = list(map(memo.__getitem__, zip(*(batch.columns[name] for name in names), strict=True)))
        mended = Counter(kind for row in rows if type(row) is tuple and row[2] for kind in row[2])
        for kind, count in mended.items():
            self.mended[_MENDED.get(kind, f"{kind} left out: unreadable")] += count
        return rows

    def _fact(
        self, cells: Mapping[str, str | None], styles: Styles, *, catalogue: bool
    ) -> tuple[str, int, frozenset[str]]:
        """Return the item's id, the number of the fact, and the names of the columns that were mended.

        Raises:
            ValueError: The cells name no item.
        """
        present = {name: text for name, text in cells.items() if text is not None and not is_absent(text)}
        mended: set[str] = set()

        def read(name: str, convert: Callable[[str], T]) -> T | None:
            if name not in present:
                return None
            try:
                return convert(present[name])
            except ValueError:
                mended.add(name)
                return None

        title = _shown(present.get("title", ""))
        if "&" in present.get("title", "") and title != clean_text(present["title"]):
            mended.add("html")
        if len(title) > LONGEST_TITLE:
            title = title[:LONGEST_TITLE].rstrip()
            mended.add("title")
        if not title and (catalogue or "item_id" not in present):
            raise ValueError("title: none here")
        item_id = _item_id(present["item_id"]) if "item_id" in present else item_id_of(title)
        topics = _topics(present.get("topics", ""), styles.separators)
        text = _shown(present.get("text", ""))[:LONGEST_TEXT]
        price = read("price", lambda cell: amount(cell, styles.decimal_mark))
        image = read("image", _image)
        named = [(name[len("field.") :], name) for name in cells if name.startswith("field.")]
        values = {str(clean_text(field))[:LONGEST_FIELD]: read(name, typed) for field, name in named[:MOST_FIELDS]}
        fields = {name: value for name, value in values.items() if value is not None}
        time = read("time", styles.time.seconds) if catalogue else None
        told = (item_id, title, topics, text, price, image, json.dumps(fields, sort_keys=True) if fields else "", time)
        if not any((title, topics, text, price is not None, image, fields)):
            return item_id, NO_FACT, frozenset(mended)
        return item_id, self._number(told), frozenset(mended)

    def _number(self, told: tuple[Any, ...]) -> int:
        if told not in self._known:
            self._characters += len(told[1]) + len(told[3])
            if len(self._known) > MOST_REMEMBERED or self._characters > MOST_CHARACTERS:
                self._known.clear()  # a fact that gets a second number counts as the same in the end
                self._characters = 0
            self._known[told] = self._count
            self._new.append(Fact(self._count, *told))
            self._count += 1
        return self._known[told]


# A currency may stand on either side of the sign: -R$ 59,90 and EUR -7,50. A range such as 12 - 15 has none before it.
_NEGATIVE = re.compile(r"\s*(?:[-−(]\s*[^\d\s-]{0,4}\s*\d|[^\d\s-]{1,4}\s*[-−]\s*\d|[^\d-]{0,5}[\d.,' ]*\d\s?[-−]\s*$)")
_MENDED = {"title": "title cut: longer than 500 characters", "html": "title: HTML entities"}


def _characters(key: str | tuple[str | None, ...] | None) -> int:
    return len(key) if isinstance(key, str) else sum(len(part) for part in key or () if part)


def _note(bad: dict[int, list[str]], values: Sequence[Any], prefix: str) -> None:
    if _Fault in set(map(type, values)):
        for row, value in enumerate(values):
            if type(value) is _Fault:
                bad.setdefault(row, []).append(prefix + value.reason)


def _item_id(text: str) -> str:
    try:
        return _identified(text)
    except ValueError as error:
        raise ValueError(f"item_id: {error}") from None


def _identified(text: str) -> str:
    value = clean_identifier(text)
    if len(value) > LONGEST_ID:
        raise ValueError(f"an id of more than {LONGEST_ID} characters")
    return value


def _shown(text: str | None) -> str:
    """Return a text as it is shown: one line, without HTML entities. An absent text is empty."""
    return "" if text is None or is_absent(text) else str(clean_text(unescaped(text)))


def _event(text: str) -> str:
    """Return an event word in lower case. A code such as `3.0` is `3`."""
    word = str(clean_text(text)).casefold()[:LONGEST_EVENT].rstrip()
    return re.sub(r"^(\d+)\.0+$", r"\1", word) or "interaction"


def _image(text: str) -> str:
    if len(text) > LONGEST_IMAGE:
        raise ValueError("an image of a long name")
    return text.strip()


def _topics(text: str, separators: str) -> tuple[str, ...]:
    parts = listed(text) if text else []
    if parts is None:
        parts = re.split(f"[{re.escape(separators)}]", text) if separators else [text]
    elif separators and len(parts) == 1:
        parts = re.split(f"[{re.escape(separators)}]", parts[0])
    names = [_shown(part)[:LONGEST_TITLE] for part in parts]
    return tuple(dict.fromkeys(name for name in names if name))[:MOST_TOPICS]
