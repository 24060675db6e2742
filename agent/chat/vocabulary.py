"""What a catalogue can be asked for: its fields, the values that they have, and the words for both."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Literal

from whimbrel.agent.chat.lexicon import compiled, concepts, lexicon, meanings
from whimbrel.tools.fields import FieldValue
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

Kind = Literal["number", "date", "flag", "text", "list"]
MOST_NAMED = 20_000
"""The values of a field with more distinct values are not looked for in lines."""
LONGEST_NAMED = 60
"""Values of more characters are descriptions, and nobody types them."""
NAMES = frozenset({"service", "maker", "cast"})
"""Concepts whose values are names. The first word of a name is enough to say it."""
LONGEST_TITLE = 10  # words of a title that is looked for
LONGEST_PHRASE = 6  # words of a value that are looked up together
TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W_\u4e00-\u9fff]+(?:['\u2019+&./-]+[^\W_\u4e00-\u9fff]+)*\+?")
"""A word of a line. One Chinese character is a word."""
_HAN = re.compile(r"[\u4e00-\u9fff]+")
_TITLE_YEAR = re.compile(r"\s*\(\d{4}\)\s*$")


@dataclass(frozen=True)
class FieldInfo:
    """A field of the catalogue.

    Attributes:
        name: The name in the catalogue.
        kind: The type of most values.
        concept: What people call it (see `concepts.toml`); "" if no concept is known.
        counts: How many items have each value. Of a list, each entry counts. Numbers are not counted.
        numbers: All known numbers in ascending order.
    """

    name: str
    kind: Kind
    concept: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    numbers: Sequence[float] = ()

    def quantile(self, share: float) -> float:
        """Return the number below which this share of the items lies."""
        return self.numbers[min(int(share * len(self.numbers)), len(self.numbers) - 1)]


@dataclass(frozen=True)
class Value:
    """A value of a field, which a line names.

    Attributes:
        start: Where it begins in the line.
        end: Where it ends.
    """

    field: str
    value: str
    start: int
    end: int


class Vocabulary:
    """The fields of a catalogue, and the values that a line may name."""

    def __init__(self, table: FieldTable) -> None:
        """Read the fields and values of a catalogue."""
        self.table = table
        self.fields: dict[str, FieldInfo] = {}
        for name, column in table.columns.items():
            info = _field_info(name, column)
            # A catalogue that keeps its genres under their own name too would otherwise be asked for them twice.
            is_topics = name != "topics" and column == table.columns.get("topics")
            if info is not None and not is_topics:
                self.fields[name] = info
        taken: set[str] = set()
        for name, info in self.fields.items():  # the field of a concept is the first that the concept names
            if info.concept in taken:
                self.fields[name] = FieldInfo(name, info.kind, "", info.counts, info.numbers)
            taken.add(info.concept)

    def of_concept(self, concept: str) -> FieldInfo | None:
        """Return the field of a concept, or None if the catalogue has none."""
        return next((info for info in self.fields.values() if concept and info.concept == concept), None)

    def values_in(self, line: str, *, fields: Iterable[str] = ()) -> list[Value]:
        """Return the values that a line names, in order and without overlaps. The longest name wins.

        Args:
            line: The line.
            fields: If it is not empty, only values of these fields are looked for.
        """
        tokens = [(match.group(), match.start(), match.end()) for match in TOKEN.finditer(line)]
        wanted, values, position = set(fields), list[Value](), 0
        while position < len(tokens):
            for length in range(min(LONGEST_PHRASE, len(tokens) - position), 0, -1):
                start, end = tokens[position][1], tokens[position + length - 1][2]
                phrase = line[start:end]
                named = [
                    (name, value)
                    for name, value in self._named(phrase)
                    if (not wanted or name in wanted) and _is_name(value, phrase, line)
                ]
                if named:
                    values += [Value(name, value, start, end) for name, value in named]
                    position += length
                    break
            else:
                position += 1
        return values

    def _named(self, phrase: str) -> Sequence[tuple[str, str]]:
        for form in _forms(phrase):
            if form in self._values_by_name:
                return self._values_by_name[form]
        return ()

    @cached_property
    def _values_by_name(self) -> Mapping[str, list[tuple[str, str]]]:
        """The fields and values of each name, as `_forms` writes it. Synonyms and other languages count too."""
        exact: dict[str, list[tuple[str, str]]] = {}
        for info in self.fields.values():
            if info.kind not in {"text", "list"} or len(info.counts) > MOST_NAMED:
                continue
            order = concepts()[info.concept].order if info.concept else ()
            known = {value.casefold() for value in info.counts}
            # An age rating that no item has can be asked for, too: nothing fits then.
            unknown = [value.upper() for value in order if value not in known and known & set(order)]
            spellings: dict[str, str] = {}  # of values that differ in case alone, the most frequent stands for all
            for value in sorted(info.counts, key=lambda value: -info.counts[value]):
                spellings.setdefault(value.casefold(), value)
            for value in [*spellings.values(), *unknown]:
                if len(value) <= LONGEST_NAMED:
                    for form in _spellings(value):
                        exact.setdefault(form, []).append((info.name, value))
        names = self._parts(exact) | exact
        for word, same in meanings().items():
            form = _forms(word)[0]
            others = dict.fromkeys(pair for other in same for known in _forms(other) for pair in exact.get(known, ()))
            if others and form not in exact:
                names[form] = list(others)
        return names

    def _parts(self, exact: Mapping[str, list[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
        """Return the parts of long names that mean one value: "Prime Video" is `Amazon Prime Video`."""
        parts: dict[str, set[tuple[str, str]]] = {}
        for form, named in exact.items():
            tokens = form.split()
            if not 2 <= len(tokens) <= LONGEST_PHRASE:
                continue
            for start, end in combinations(range(len(tokens) + 1), 2):
                is_name = all(self.fields[name].concept in NAMES for name, _ in named)
                is_word = len(tokens[0]) > 2 and tokens[0] not in lexicon("en").fillers
                if end - start >= 2 or (is_name and start == 0 and is_word):
                    parts.setdefault(" ".join(tokens[start:end]), set()).update(named)
        return {part: list(named) for part, named in parts.items() if len(named) == 1 and part not in exact}

    @cached_property
    def names(self) -> frozenset[str]:
        """The words that alone name a value."""
        return frozenset(name for name in self._values_by_name if name.isalpha())

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of the titles, texts and values, without case."""
        values = (value for info in self.fields.values() for value in info.counts)
        texts = [*self.table.titles, *self.table.texts, *values]
        return frozenset(token for text in texts for token in TOKEN.findall(text.casefold()))

    @cached_property
    def _named_words(self) -> frozenset[str]:
        """The words of the titles and values, without case. Chinese is cut into pairs of characters."""
        values = (value for info in self.fields.values() for value in info.counts)
        return frozenset(part for text in [*self.table.titles, *values] for part in _parts_of(text))

    @cached_property
    def _all_words(self) -> frozenset[str]:
        return self._named_words | {part for text in self.table.texts for part in _parts_of(text)}

    def mentions(self, wish: str) -> bool:
        """Return whether an item is called by a word of a wish, or texts of items have all of its words.

        A single word of a long wish stands in some text of any large catalogue, which says nothing.
        """
        parts = _parts_of(wish)
        same = {other for part in parts for word in meanings().get(part, ()) for other in _parts_of(word)}
        if not self._named_words.isdisjoint({*parts, *same}):
            return True
        chinese = [part for part in parts if _HAN.match(part)]
        if chinese:
            return not self._all_words.isdisjoint(chinese)
        return bool(parts) and self._all_words.issuperset(parts)

    @cached_property
    def titles(self) -> Mapping[str, str]:
        """Every title, keyed by how people write it: without case, without the year at the end, `The` in front."""
        names: dict[str, str] = {}
        for title in self.table.titles:
            for form in title_forms(title):
                names.setdefault(form, title)
        return names

    def asked_for(self, line: str) -> list[FieldInfo]:
        """Return the fields that a question about an item names: "how long is it?"."""
        asked = []
        for info in self.fields.values():
            concept = concepts().get(info.concept)
            names = [info.name.replace("_", " "), *(concept.asked if concept else ())]
            if any(re.search(rf"(?<![a-zäöüß]){re.escape(name)}", line, re.IGNORECASE) for name in names):
                asked.append(info)
        return asked

    def titles_in(self, text: str) -> list[str]:
        """Return the titles of at least two words that a text names, in order. The longest at each place wins."""
        named, position = list[str](), 0
        starts = [match.start() for match in TOKEN.finditer(text)]
        for start in starts:
            if start < position:
                continue
            title, length = self.title_at_start(text[start:])
            words = text[start : start + length]
            is_kind = words == words.casefold() and bool(self.values_in(words))  # "skip the drama"
            # One word is a title only if it is written like a name: "how old is Aladdin?"
            is_name = start > 0 and len(words) > 3 and words[0].isupper() and not self.values_in(words)
            if title and (len(TOKEN.findall(words)) > 1 or is_name) and not is_kind:
                named.append(title)
                position = start + length
        return named

    def title_at_start(self, text: str) -> tuple[str, int]:
        """Return the longest title that a text begins with, and where it ends in the text; ("", 0) without one."""
        ends = [match.end() for match in TOKEN.finditer(text[: 2 * LONGEST_NAMED])][:LONGEST_TITLE]
        for end in reversed(ends):
            closing = re.match(r"\s*\(\d{4}\)|[)\]!?.]+", text[end:])  # "(1996)", and marks that belong to a title
            for stop in (end + closing.end() if closing else end, end):
                if title := self.titles.get(text[:stop].casefold().strip()):
                    return title, stop
        return "", 0

    def title_in(self, words: str) -> str:
        """Return the title that these words are, or "" if there is none."""
        return self.titles.get(words.strip(" .,!?\"'").casefold(), "")


def _parts_of(text: str) -> set[str]:
    """Return the words of a text without case, in the singular too. Of Chinese, each pair of neighbours is a word."""
    plain = text.casefold()
    words = {token for token in TOKEN.findall(plain) if not _HAN.match(token)}
    runs = _HAN.findall(plain)
    pairs = {run[at : at + 2] for run in runs for at in range(max(len(run) - 1, 1))}
    return words | {word[:-1] for word in words if len(word) > 3 and word.endswith("s")} | pairs


def title_forms(title: str) -> list[str]:
    """Return how people write a title.

    Example:
        >>> title_forms("Matrix, The (1999)")
        ['matrix, the (1999)', 'matrix, the', 'the matrix', 'matrix']
    """
    full = title.casefold()
    bare = _TITLE_YEAR.sub("", full)
    forms = [full, bare]
    article = re.fullmatch(r"(.+), (the|a|an|der|die|das|la|le|les|il|el)", bare)
    if article:
        forms += [f"{article[2]} {article[1]}", article[1]]
    return list(dict.fromkeys(forms))


def _field_info(name: str, column: Sequence[FieldValue | None]) -> FieldInfo | None:
    known = [value for value in column if value is not None]
    kinds = Counter(_kind(value) for value in known)
    if not kinds:
        return None
    kind = "list" if kinds["list"] else kinds.most_common(1)[0][0]
    counts = Counter(
        text
        for value in known
        for text in (value if isinstance(value, tuple) else (value,))
        if isinstance(text, str) and kind in {"text", "list"}
    )
    numbers = sorted(value for value in known if isinstance(value, float) and not isinstance(value, bool))
    if kind == "date":
        numbers = sorted(float(str(value)[:4]) for value in known if _kind(value) == "date")
    return FieldInfo(name, kind, _concept(name, kind), dict(counts.most_common()), numbers)


def _kind(value: FieldValue) -> Kind:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, float):
        return "number"
    if isinstance(value, tuple):
        return "list"
    return "date" if re.fullmatch(r"\d{4}-\d\d?-\d\d?.*", value) else "text"


_KINDS_OF_CONCEPTS: Mapping[str, frozenset[Kind]] = {
    "price": frozenset({"number"}),
    "length": frozenset({"number"}),
    "rating": frozenset({"number"}),
    "weight": frozenset({"number"}),
    "year": frozenset({"number", "date"}),
}
"""The types that the field of a concept may have. The field of any other concept has texts, lists or flags."""


def _concept(name: str, kind: Kind) -> str:
    plain = re.sub(r"[\W_]+", "", name.casefold())
    for concept, entry in concepts().items():
        allowed = _KINDS_OF_CONCEPTS.get(concept, frozenset({"text", "list", "flag"}))
        if plain in entry.fields and kind in allowed:
            return concept
    return ""


def _forms(phrase: str) -> list[str]:
    """Return the forms by which a phrase is looked up: without case, in the singular, with its hyphens apart."""
    plain = " ".join(TOKEN.findall(phrase.casefold().replace("\u2019", "'")))
    if re.search(r"[\u4e00-\u9fff]", plain):
        plain = plain.replace(" ", "")
    forms = [plain]
    if len(plain) > 4 and plain.endswith("ies"):
        forms.append(plain[:-3] + "y")
    if len(plain) > 3 and plain.endswith("s") and not plain.endswith("ss"):
        forms.append(plain[:-1])
        forms += [plain[:-2]] if plain.endswith("es") else []
    forms += [f"{plain}s"] if len(plain) > 2 and not plain.endswith("s") else []
    forms += [form.replace("-", " ") for form in forms if "-" in form]
    return forms


def _spellings(value: str) -> list[str]:
    """Return how a value is written: `PG-13` also as "pg13" and "pg 13", `Disney+` also as "disney plus"."""
    form = _forms(value)[0]
    others = [form.replace("-", ""), form.replace("-", " "), form.replace("+", " plus")]
    return list(dict.fromkeys([form, *others]))


def _is_name(value: str, phrase: str, line: str) -> bool:
    """Return whether a phrase of a line names a value, and is no other short word.

    A value of one letter, such as the age rating `R`, must be typed in capitals, behind "rated", or beside "or".
    """
    if len(phrase) > 2 or not phrase.isascii():
        return True
    if phrase.isupper() and phrase not in {"I", "A", "OK", "TV"}:
        return True
    if len(phrase) == 2 and phrase.casefold() not in lexicon("en").fillers | lexicon("de").fillers:
        return True
    one = re.escape(phrase)
    beside = rf"\b(?:rated|or|oder) {one}\b|\b{one}[- ](?:rated|or|oder|only)\b|^\W*{one}\W*$|\band {one} only"
    return bool(compiled(beside).search(line))


def number_of(item: Item, info: FieldInfo) -> float | None:
    """Return the number of an item for a field, a year for a date; None if it is unknown."""
    value = item.fact(info.name)
    if info.kind == "date" and isinstance(value, str) and value[:4].isdecimal():
        return float(value[:4])
    return value if isinstance(value, float) and not isinstance(value, bool) else None
