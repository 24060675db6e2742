"""What the rules of reading share: what was read so far, the items that a line refers to, and the parts of a line."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from whimbrel.agent.chat.lexicon import (
    LETTER,
    Lexicon,
    any_of,
    compiled,
    concepts,
    consists_of,
    lexicon,
    word,
)
from whimbrel.agent.chat.reading import Act, Answer, Scene
from whimbrel.agent.chat.vocabulary import TOKEN, FieldInfo, Value, number_of, title_forms
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item

MARKS = " \t.,!?;:\u2026\u3002\uff01\uff1f\uff0c\u3001\"'()~-"
CLAUSES = re.compile(
    r"(?:(?<!\d)[.,]|[.,](?!\d)|[!?;:\u3002\uff01\uff1f\uff0c\uff1b\u2026])+|\s+-+\s+"
    r"|(?<!thing )\b(?:but|aber)\b|\u4f46\u662f?"
)
"""What stands between clauses. The point of a decimal number is no such mark."""
VALUE, TITLE = "\ue000", "\ue001"
"""What stands for a value or a listed title while patterns are tried, so that few patterns are compiled."""
CUT = " | "
_BEHIND_CHINESE = (
    "\u548c\u4e0e\u8ddf\u6216\u3001\u53f7\u7684\u54ea\u6bd4\u6709\u662f\u8bb2\u600e\u4e3a\u597d\u5bf9\u8fd9\u8c01"
)
NUMBER = rf"(?<!{LETTER})(?<![.,])#?(\d{{1,2}})(?!{LETTER}|[.,]\d|(?![{_BEHIND_CHINESE}])[\u4e00-\u9fff])"
"""The number of an item. A decimal number, and a number with a unit, is none."""
"""What a part of a line is replaced with when it was understood, so that the words around it stay apart."""


@dataclass
class Said:
    """What the clauses and the rest of a line say, collected step by step."""

    acts: list[Act] = field(default_factory=list)
    wants: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    liked: list[str] = field(default_factory=list)
    facts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    compared: list[Condition] = field(default_factory=list)
    beyond: int = 0
    k: int | None = None
    answer: Answer = ""
    is_more: bool = False
    is_new_subject: bool = False
    is_about_change: bool = False
    is_about_state: bool = False


class LineParts:
    """A line that is read step by step, and what it refers to."""

    def __init__(self, text: str, language: str, scene: Scene) -> None:
        self.text = text
        self.scene = scene
        self.language = language
        self.words: Lexicon = lexicon(self.language)
        self.vocabulary = scene.vocabulary
        self.said = Said()

    def _full(self, name: str, clause: str) -> bool:
        """Return whether a clause as a whole does what patterns of this name say."""
        patterns = getattr(self.words.acts, name)
        item = self._item_pattern() if any("{item}" in pattern for pattern in patterns) else ""
        around = self.words.answers.around
        if name == "approve":
            plain = " ".join(CLAUSES.sub(" ", clause).split())
            return consists_of("|".join(patterns), around, plain, spaced=self.language != "zh")
        plain = self._with_titles_marked(clause)
        bare = compiled(rf"^(?:{around}\s+)+|(?:\s+{around})+$").sub("", plain)
        return any(
            compiled(pattern.replace("{item}", item)).fullmatch(form)
            for pattern in patterns
            for form in dict.fromkeys([plain, bare])
        )

    def _item_pattern(self) -> str:
        numbers = any_of([*map(re.escape, self.words.amounts.ordinals), r"\d{1,2}"])
        patterns = [pattern.replace("{n}", f"(?:{numbers})") for pattern in self.words.items.one]
        quoted = f"['\"\u201c\u300a]?{TITLE}['\"\u201d\u300b]?"
        one = any_of([*patterns, *self.words.items.focus, quoted])
        return f"(?:{one}(?:(?:\\s*,\\s*|\\s+(?:and|or|und|oder|with|mit|to)\\s+|[和与跟]){one})*)"

    def _number_beyond(self, text: str) -> int:
        """Return the number of an item that is named but not on the list; 0 if there is none."""
        last = len(self.scene.listed)
        named = [
            number
            for name, number in self.words.amounts.ordinals.items()
            if compiled(word(re.escape(name))).search(text)
        ]
        named += [int(match[1]) for match in re.finditer(NUMBER, text)]
        return max((number for number in named if number > last), default=0)

    def _with_marks(self, clause: str, titles: Sequence[str]) -> str:
        """Replace titles of the catalogue in a clause by marks."""
        for title in titles:
            for form in title_forms(title):
                start = clause.casefold().find(form)
                if start >= 0:
                    clause = f"{clause[:start]}{TITLE}{clause[start + len(form) :]}"
                    break
        return clause

    def _with_titles_marked(self, clause: str) -> str:
        """Replace the titles of listed items in a clause by a mark."""
        for item in self.scene.listed:
            for form in title_forms(item.title):
                start = clause.casefold().find(form) if len(form) > 1 else -1
                end = start + len(form)
                is_whole = not (clause[start - 1 : start].isalnum() or clause[end : end + 1].isalnum())
                if start >= 0 and (is_whole or not form.isascii()):
                    clause = f"{clause[:start]}{TITLE}{clause[end:]}"
                    break
        return clause

    def _references(self, text: str) -> list[int]:
        """Return the positions of the listed items that a text refers to, in the order of the text."""
        places: dict[int, int] = {}
        listed = self.scene.listed
        for position, item in enumerate(listed):
            for form in title_forms(item.title):
                if len(form) > 1 and (match := compiled(word(re.escape(form))).search(text)):
                    places.setdefault(position, match.start())
                    break
        for name, number in self.words.amounts.ordinals.items():
            if match := compiled(word(re.escape(name))).search(text):
                position = number - 1 if number > 0 else len(listed) + number
                if 0 <= position < len(listed):
                    places.setdefault(position, match.start())
        for position, start in self._several(text):
            places.setdefault(position, start)
        for match in re.finditer(NUMBER, text):
            if 1 <= int(match[1]) <= len(listed):
                places.setdefault(int(match[1]) - 1, match.start())
        return sorted(places, key=lambda position: places[position])

    def _several(self, text: str) -> list[tuple[int, int]]:
        """Return the positions that "the first two" and the like name, each with its place in the text."""
        numbers = {name: int(value) for name, value in self.words.amounts.numbers.items() if 2 <= value <= 9}
        number = f"(?P<n>{any_of([*map(re.escape, numbers), '[2-9]'])})"
        last, named = len(self.scene.listed), list[tuple[int, int]]()
        for patterns, is_last in ((self.words.items.first_of, False), (self.words.items.last_of, True)):
            for pattern in patterns:
                for match in compiled(word(pattern.replace("{n}", number))).finditer(text):
                    name = match["n"].casefold()
                    count = min(int(name) if name.isdecimal() else numbers[name], last)
                    first = last - count if is_last else 0
                    named += [(position, match.start()) for position in range(first, first + count)]
        return named

    def _focus(self) -> list[Item]:
        positions = self._references(self.text) or list(self.scene.focus)
        return [self.scene.listed[position] for position in positions if position < len(self.scene.listed)]

    def _reference(self, info: FieldInfo) -> float | None:
        """Return the value to compare with: that of the item talked about, or the middle of the list."""
        items = self._focus() or list(self.scene.listed)
        values = sorted(value for value in (number_of(item, info) for item in items) if value is not None)
        return values[len(values) // 2] if values else None


def by_span(values: Iterable[Value]) -> list[tuple[tuple[int, int], list[Value]]]:
    """Return the values by the part of the line that names them."""
    spans: dict[tuple[int, int], list[Value]] = {}
    for value in values:
        spans.setdefault((value.start, value.end), []).append(value)
    return list(spans.items())


def names_of(info: FieldInfo) -> list[str]:
    """Return what people call a field."""
    concept = concepts().get(info.concept)
    return [info.name.replace("_", " "), *(concept.words if concept else ())]


def meaningful(text: str, words: Lexicon) -> list[str]:
    """Return the words of a text that say something: not those that only begin or fill a sentence."""
    tokens = TOKEN.findall(text)
    if any("\u4e00" <= token <= "\u9fff" for token in tokens):
        plain = text
        for filler in sorted(words.fillers, key=len, reverse=True):
            plain = plain.replace(filler, " ") if not filler.isascii() else plain
        return [part.strip(MARKS) for part in plain.split() if part.strip(MARKS)]
    return [token for token in tokens if token.casefold() not in words.fillers]


def alternatives(words: Lexicon) -> str:
    """Return a pattern of what stands between two refused things."""
    named = [word(entry) for entry in words.negation.alternatives if entry.isalpha()]
    return rf"\s*(?:[,/&\u3001\uff0c]|{any_of(named)})\s*"


def bare(text: str) -> str:
    """Return what stands between two values without the word for their kind: "dramas and" of "drama films and"."""
    return re.sub(r"\b(?:films?|movies?|filme?)\b|片", "", text).strip()


def without(text: str, start: int, end: int) -> str:
    """Return a text without a part that was understood."""
    return f"{text[:start]}{CUT}{text[end:]}"


def blank(text: str) -> str:
    """Return a text of the same length that says nothing."""
    return "|".ljust(len(text))


def distinct(values: Iterable[object]) -> tuple:  # type: ignore[type-arg]
    """Return values without repetitions, in order."""
    return tuple(dict.fromkeys(values))
