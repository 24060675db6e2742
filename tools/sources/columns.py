"""Guess which column of a table holds which field: from its name, then from its values."""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

from whimbrel.tools.clean import clean_text
from whimbrel.tools.event_meanings import meaning_of
from whimbrel.tools.sources.cells import amount, grade, is_absent, listed
from whimbrel.tools.sources.rows import is_field
from whimbrel.tools.sources.times import guessed_style, is_time

Mapped = Sequence[tuple[str, str]]
"""Pairs of column and field."""

PLAUSIBLE_SHARE = 0.5
"""A column is taken for times, prices or ratings if at least this share of its values can be read as such."""
QUANTITY = "quantity"
"""What a column of quantities is called here. It is no field: only a negative quantity means something, a return."""
LONGEST_NAME = 100  # characters of the name of a column that count
MOST_EVENT_WORDS = 60
MOST = 0.9
"""A column is taken by its values alone if more than this share of them fits."""
LONG_TEXT = 80
"""The mean length, in characters, past which a column called "description" is a text and not a title."""
_CLOCK_ALONE = re.compile(r"^\s*\d{1,2}[:h.]\d{2}([:.]\d{2})?\s*([ap]m)?\s*$", re.I)
_TECHNICAL = re.compile(r"updat|modif|load|sync|import|export|etl|extract|ingest|insert")
_SUBCATEGORY = re.compile(r"sub|unter|sous|[12]$|细分|子")
_DATE_ALONE = re.compile(r"^\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\.?|\d{8}|\d{4}年\d{1,2}月\d{1,2}日)\s*$")


@dataclass(frozen=True)
class Columns:
    """Which columns hold which fields.

    Attributes:
        mapped: Pairs of column and field, in the order in which the columns of one field are joined.
        guessed: The field of each column that was guessed.
        unsure: The field of each column that was guessed from its values alone.
        ambiguous: Fields for which several columns without a name could be meant.
    """

    mapped: Mapped
    guessed: Mapping[str, str] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)
    ambiguous: Sequence[str] = ()


def guess_columns(sample: Mapping[str, Sequence[str | None]], given: Mapped, *, by_values: bool = False) -> Columns:
    """Return the columns of a table.

    Args:
        sample: The first values of each column, in the order of the table.
        given: What the user mapped. These columns and fields are not guessed.
        by_values: Whether the names mean nothing, since the table has no header.
    """
    values = {
        name: [text for text in texts if text is not None and not is_absent(text)] for name, texts in sample.items()
    }
    taken = {column for column, _ in given}
    fields = {name for _, name in given}
    mapped = list(given)
    # A column that is called like a field is that field, whatever it holds.
    for column in [] if by_values else sample:
        if column not in taken and is_field(column) and column not in fields:
            mapped.append((column, column))
            taken.add(column)
            fields.add(column)
    guesses = _Guesses(sample, values, taken, fields)
    if not by_values:
        guesses.by_name()
    guesses.by_values(all_texts=by_values)
    guessed = {column: name for column, name in guesses.mapped if name != QUANTITY}
    return Columns([*mapped, *guesses.mapped], guessed, guesses.unsure, guesses.ambiguous)


class _Guesses:
    """Guesses made one after the other. A column is taken once, and so is a field."""

    def __init__(
        self,
        cells: Mapping[str, Sequence[str | None]],
        values: Mapping[str, list[str]],
        taken: set[str],
        fields: set[str],
    ) -> None:
        self.cells, self.values, self.taken, self.fields = cells, values, taken, fields
        self.mapped: list[tuple[str, str]] = []
        self.unsure: dict[str, str] = {}
        self.ambiguous: list[str] = []

    def take(self, column: str, name: str, *, sure: bool = True) -> None:
        self.mapped.append((column, name))
        self.taken.add(column)
        self.fields.add(name)
        if not sure:
            self.unsure[column] = name

    def free(self) -> list[str]:
        return [c for c, values in self.values.items() if c.strip() and c not in self.taken and values]

    def by_name(self) -> None:
        """Take the columns whose names are known, if their values fit."""
        ranks = {column: _ranks(column) for column in self.free()}
        if "time" not in self.fields:
            self._take_time(ranks)
        for name in ("user_id", "item_id", "title", "topics", "price", "event", "rating", "text", "image"):
            if name not in self.fields:
                self._take_named(name, ranks)
        if "title" not in self.fields:
            self._take_description_as_title(ranks)
        events = [column for column in self.free() if column in ranks and _are_events(self.values[column])]
        if "event" not in self.fields and len(events) == 1:
            self.take(events[0], "event")
        if "event" not in self.fields:
            self._take_named(QUANTITY, ranks)

    def _take_named(self, name: str, ranks: Mapping[str, Mapping[str, int]]) -> None:
        candidates = [c for c in self.free() if name in ranks.get(c, {}) and _fits(name, self.values[c])]
        candidates.sort(key=lambda column: (ranks[column][name], list(self.values).index(column)))
        if name in ("item_id", "title"):
            candidates = [c for c in candidates if self._is_for(name, c, ranks[c])]
        if name == "title":
            candidates = [c for c in candidates if not self._is_of_person(c)]
        if name == "topics":
            candidates = [c for c in candidates if not _are_events(self.values[c])]
            candidates = [c for c in candidates if not _is_code(self.values[c])] or candidates
        if not candidates:
            return
        self.take(candidates[0], name)
        for other in candidates[1:3] if name == "topics" else ():  # a category and its subcategory
            if _SUBCATEGORY.search(_key(other)) or _SUBCATEGORY.search(_key(candidates[0])):
                self.mapped.append((other, name))
                self.taken.add(other)

    def _take_description_as_title(self, ranks: Mapping[str, Mapping[str, int]]) -> None:
        """Take a short description as the title. Many shops call the name of a product so."""
        described = [c for c, name in self.mapped if name == "text"]
        described += [c for c in self.free() if "text" in ranks.get(c, {})]
        short = [column for column in described if _mean_length(self.values[column]) <= LONG_TEXT]
        if short:
            self.mapped = [pair for pair in self.mapped if pair[0] != short[0]]
            self.fields.discard("text")
            self.take(short[0], "title")

    def _take_time(self, ranks: Mapping[str, Mapping[str, int]]) -> None:
        named = sorted((c for c in ranks if "time" in ranks[c]), key=lambda c: ranks[c]["time"])
        clocks = [c for c in named if _share(self.values[c], _CLOCK_ALONE.match) > 0.9]
        times = [c for c in named if c not in clocks and _fits("time", self.values[c])]
        if not times:
            return
        # When a row was written or loaded is not when something happened.
        times = [column for column in times if not _TECHNICAL.search(_key(column))] or times
        # Of several, one with a clock is better than a date alone: it tells the order of a day.
        best = min(
            times, key=lambda c: (_share(self.values[c], _DATE_ALONE.match) > 0.9 and not clocks, ranks[c]["time"])
        )
        self.take(best, "time")
        if clocks and _share(self.values[best], _DATE_ALONE.match) > 0.9:
            self.mapped.append((clocks[0], "time"))
            self.taken.add(clocks[0])

    def _is_for(self, name: str, column: str, ranks: Mapping[str, int]) -> bool:
        """Return whether a column of a word such as "product" holds ids or titles, as its values tell."""
        if not {"item_id", "title"} <= set(ranks):
            return True
        return _is_code(self.values[column]) == (name == "item_id")

    def _is_of_person(self, column: str) -> bool:
        """Return whether a column of names names the people and not the items."""
        people = [c for c, name in self.mapped if name == "user_id"]
        items = [c for c, name in self.mapped if name == "item_id"] or [c for c in self.free() if c != column]
        return (
            bool(people)
            and _distinct(self.values[column]) > 1
            and self._names_each(people[0], column)
            and not any(self._names_each(item, column) for item in items)
        )

    def by_values(self, *, all_texts: bool) -> None:
        """Take columns for the needed fields that no name told, if only one column can be meant.

        Args:
            all_texts: Whether no name means anything, so that the likeliest of several columns is taken.
        """
        if "time" not in self.fields:
            times = [c for c in self.free() if _share(self.values[c][:50], is_time) > MOST]
            if times:
                self.take(max(times, key=lambda c: _distinct(self.values[c])), "time", sure=False)
        if "event" not in self.fields and all_texts:
            events = [c for c in self.free() if _share(self.values[c][:50], meaning_of) > MOST]
            self._take_first(events, "event")
        if "title" not in self.fields:
            self._title_by_values(all_texts=all_texts)
        if "item_id" not in self.fields and all_texts:
            titles = [column for column, name in self.mapped if name == "title"]
            self._take_first([c for c in self._codes() if titles and self._names_each(c, titles[0])], "item_id")
        if "user_id" not in self.fields:
            people = [c for c in self.free() if _is_person(self.values[c])] or self._codes()
            if len(people) > 1:
                self.ambiguous.append("user_id")
            # A person occurs more often than an order does.
            people.sort(key=lambda column: _distinct(self.values[column]) if all_texts else 0)
            self._take_first(people if len(people) == 1 or all_texts else [], "user_id")
        if not {"title", "item_id"} & self.fields:
            codes = self._codes()
            self._take_first(codes if len(codes) == 1 or all_texts else [], "item_id")
        if "topics" not in self.fields and all_texts:
            self._topics_by_values()

    def _take_first(self, columns: Sequence[str], name: str) -> None:
        if columns:
            self.take(columns[0], name, sure=False)

    def _codes(self) -> list[str]:
        return [column for column in self.free() if _is_code(self.values[column])]

    def _topics_by_values(self) -> None:
        """Take the column of a few texts that recur. Of items without titles, they may be codes."""
        few = [c for c in self.free() if 1 < _distinct(self.values[c]) <= max(len(self.values[c]) // 4, 2)]
        words = [column for column in few if not _is_code(self.values[column])]
        self._take_first(words or (few if "title" not in self.fields else []), "topics")

    def _title_by_values(self, *, all_texts: bool) -> None:
        """Take the column of texts that names the items: one text for each id, or the only column of texts."""
        texts = [c for c in self.free() if not _is_code(self.values[c]) and _mean_length(self.values[c]) <= LONG_TEXT]
        ids = [column for column, name in self.mapped if name == "item_id"]
        if ids:
            texts = [c for c in texts if self._names_each(ids[0], c)]
        distinct = sorted((_distinct(self.values[column]) for column in texts), reverse=True)
        if len(distinct) > 1 and not ids and distinct[1] * 2 > distinct[0]:
            self.ambiguous.append("title")
        if texts and (len(texts) == 1 or all_texts or ids):
            self.take(max(texts, key=lambda c: _distinct(self.values[c])), "title", sure=False)

    def _names_each(self, ids: str, texts: str) -> bool:
        """Return whether each value of one column has a value of its own in another one, with few exceptions."""
        cells = zip(self.cells.get(ids, ()), self.cells.get(texts, ()), strict=False)
        pairs = {(a, b) for a, b in cells if a is not None and b is not None}
        distinct = len({a for a, _ in pairs}), len({b for _, b in pairs})
        return bool(pairs) and len(pairs) <= 1.1 * min(distinct) + 1


@cache
def _document() -> dict[str, dict[str, list[str]]]:
    """Return the known words: those of `columns.toml`, then those of each file of one language."""
    folder, document = Path(__file__).parent, dict[str, dict[str, list[str]]]()
    for path in [folder / "columns.toml", *sorted(folder.glob("columns.*.toml"))]:
        for table in ("lists", "fields"):
            for name, words in tomllib.loads(path.read_text("utf-8"))[table].items():
                document.setdefault(table, {}).setdefault(name, []).extend(words)
    return document


@cache
def _simplified() -> dict[int, int]:
    """Return the table that writes traditional Chinese characters as simplified ones."""
    characters = tomllib.loads(Path(__file__).with_name("columns.zh.toml").read_text("utf-8"))["characters"]
    return str.maketrans(characters["traditional"], characters["simplified"])


@cache
def _vocabulary() -> dict[str, dict[str, int]]:
    """Return the fields that each name may mean, with the place of the name in the field's list."""
    document = _document()
    vocabulary: dict[str, dict[str, int]] = {}
    for name, words in document["fields"].items():
        for place, word in enumerate(words):
            lists = [document["lists"][part] for part in re.findall(r"\{(\w+)\}", word)]
            for parts in product(*lists):
                remaining = iter(parts)
                filled = re.sub(r"\{\w+\}", lambda _, it=remaining: next(it), word)  # type: ignore[misc]
                vocabulary.setdefault(_key(filled), {}).setdefault(name, place)
    return vocabulary


def knows_name(name: str) -> bool:
    """Return whether a text is a known name of a column, or of a field."""
    return is_field(name) or bool(_ranks(name))


def _key(name: str) -> str:
    """Return a name without case, spaces and marks: `Customer No.` and `customer_no` are one."""
    name = unicodedata.normalize("NFKC", name[:LONGEST_NAME]).casefold().translate(_simplified())
    return re.sub(r"[\W_]+", "", re.sub(r"\((.*?)\)|\[(.*?)\]", "", name)) or re.sub(r"[\W_]+", "", name)


def _ranks(column: str) -> dict[str, int]:
    """Return the fields that a column may hold by its name, with how sure that is (lower is surer)."""
    vocabulary = _vocabulary()
    ranks = dict(vocabulary.get(_key(column), {}))
    parts = re.split(r"[.]|__", column)
    if len(parts) > 1:  # the path of a nested object: `product.name` is tried whole, then joined, then by its last part
        for further in (" ".join(parts[-2:]), parts[-1]):
            for name, place in vocabulary.get(_key(further), {}).items():
                ranks.setdefault(name, place + 100)
        if len(parts) > 1 and _key(parts[-1]) in {"id", "key"}:
            ranks = {name: place for name, place in ranks.items() if name in {"user_id", "item_id"}}
    # An English word may stand in a longer name: `order_item_sku`, `event_created_at`.
    words = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column))
    if not ranks and len(words) > 1 and not {word.casefold() for word in words} & {*_document()["lists"]["other"]}:
        for length in (3, 2, 1):
            for start in range(len(words) - length, -1, -1):
                known = vocabulary.get(_key("".join(words[start : start + length])), {})
                if known and (length > 1 or start in (0, len(words) - 1)):
                    return {name: place + 1000 * (4 - length) for name, place in known.items()}
    return ranks


def _fits(name: str, values: Sequence[str]) -> bool:
    """Return whether the values of a column could be those of a field."""
    if name == "time":
        return _share(values[:200], is_time) >= PLAUSIBLE_SHARE or _are_small_numbers(values)
    if name == QUANTITY:
        return _share(values[:200], re.compile(r"\s*[-+−]?\d+(?:[.,]\d+)?\s*").fullmatch) > MOST
    if name == "price":
        return _share(values[:200], lambda text: amount(re.sub(r"[-−()]", "", text))) >= PLAUSIBLE_SHARE
    if name == "rating":
        return _share(values[:200], grade) >= PLAUSIBLE_SHARE
    if name == "topics":
        return _mean_length(values) <= 4 * LONG_TEXT
    if name == "event":
        return _distinct(values) <= MOST_EVENT_WORDS and _mean_length(values) <= 40
    if name == "title":
        return _mean_length(values) <= 4 * LONG_TEXT and not _share(values[:200], listed) > PLAUSIBLE_SHARE
    return True


def _are_small_numbers(values: Sequence[str]) -> bool:
    """Return whether the values are numbers too small for times. The error about them says more than "no time"."""
    try:
        guessed_style(values[:200])
    except ValueError:
        return True
    return False


def _share(values: Sequence[str], read: object) -> float:
    """Return the share of values for which a function neither fails nor returns nothing."""

    def succeeds(text: str) -> bool:
        try:
            result = read(text)  # type: ignore[operator]
        except ValueError:
            return False
        return result is not None and result is not False

    return sum(map(succeeds, values)) / len(values) if values else 0.0


def _is_code(values: Sequence[str]) -> bool:
    """Return whether most values are ids rather than words."""
    return _share(values[:500], re.compile(r"^[\w.:/-]*\d[\w.:/-]*$|^[0-9a-f-]{8,}$", re.ASCII).match) > 0.8


def _are_events(values: Sequence[str]) -> bool:
    return _share(values[:200], meaning_of) > MOST and _distinct(values) <= MOST_EVENT_WORDS


def _is_person(values: Sequence[str]) -> bool:
    return (
        _share(
            values[:500],
            re.compile(r"^(user|customer|cust|client|visitor|member|u|c|usr)[\W_]?\d+$|^\S+@\S+\.\w+$", re.I).match,
        )
        > 0.8
    )


def _distinct(values: Sequence[str]) -> int:
    return len(set(values))


def _mean_length(values: Sequence[str]) -> float:
    return sum(map(len, values)) / len(values) if values else 0.0


def map_line(mapped: Mapped) -> str:
    """Return options `--map COLUMN=FIELD` as a command line has them."""
    import shlex

    return " ".join(f"--map {shlex.quote(f'{clean_text(column)}={name}')}" for column, name in mapped)
