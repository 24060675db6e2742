"""Read a line by rules: what it does, and what it says of the items that are wanted.

The rules know English, German and Chinese. Their words are data (see `lexicon`). A line is read in steps, and each step
takes the part of the line that it understood. What is left are the words of a wish.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from whimbrel.agent.chat.amounts import conditions_in, unknown_amounts
from whimbrel.agent.chat.lexicon import (
    LETTER,
    Lexicon,
    any_of,
    compiled,
    concepts,
    consists_of,
    language_of,
    lexicon,
    word,
)
from whimbrel.agent.chat.reading import Act, Answer, LineReading, Question, Scene
from whimbrel.agent.chat.spelling import pieces, spelled
from whimbrel.agent.chat.vocabulary import TOKEN, FieldInfo, Value, number_of, title_forms
from whimbrel.tools.clean import clean_text
from whimbrel.tools.conditions import Condition, Op
from whimbrel.tools.records import Item

LONGEST_LINE = 500
"""Characters of a line that are read."""
MOST_LISTED = 50
LONGEST_REFUSAL = 4  # words
_MARKS = " \t.,!?;:\u2026\u3002\uff01\uff1f\uff0c\u3001\"'()~-"
_CLAUSES = re.compile(
    r"(?:(?<!\d)[.,]|[.,](?!\d)|[!?;:\u3002\uff01\uff1f\uff0c\uff1b\u2026])+|\s+-+\s+"
    r"|(?<!thing )\b(?:but|aber)\b|\u4f46\u662f?"
)
"""What stands between clauses. The point of a decimal number is no such mark."""
_VALUE, _TITLE = "\ue000", "\ue001"
"""What stands for a value or a listed title while patterns are tried, so that few patterns are compiled."""
_CUT = " | "
"""What a part of a line is replaced with when it was understood, so that the words around it stay apart."""
_ACTS: Sequence[tuple[str, Act]] = (
    ("undo", "undo"),
    ("reset", "subject"),
    ("known", "known"),
    ("accept", "accept"),
    ("approve", "accept"),
    ("reject", "reject"),
    ("why", "why"),
    ("compare", "compare"),
    ("about_me", "about_me"),
    ("changed", "about_me"),
    ("state", "about_me"),
    ("more", "want"),
    ("about_item", "about_item"),
    ("leave", "leave"),
    ("small_talk", "small_talk"),
)
"""The patterns of whole clauses, in the order in which they are tried."""
_OF_ITEMS = frozenset({"known", "accept", "approve", "reject", "why", "compare", "about_item"})
_RANK: Sequence[Act] = (
    "undo",
    "subject",
    "accept",
    "known",
    "reject",
    "compare",
    "why",
    "about_item",
    "about_me",
    "criticise",
    "exclude",
    "allow",
    "fact",
    "narrow",
    "want",
    "leave",
    "small_talk",
)
"""Which act a line does whose clauses do several."""


def read_line(line: str, scene: Scene) -> LineReading:
    """Read a line by rules.

    Args:
        line: What the person typed. The first `LONGEST_LINE` characters are read.
        scene: What was shown and asked before.

    Returns:
        The reading. Its act is `unclear` if nothing was understood.
    """
    text = str(clean_text(line))[:LONGEST_LINE].replace("\u2019", "'")
    language = language_of(text)
    return _Reader(spelled(text, language, scene.vocabulary), language, scene).read()


@dataclass
class _Said:
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


class _Reader:
    def __init__(self, text: str, language: str, scene: Scene) -> None:
        self.text = text
        self.scene = scene
        self.language = language
        self.words: Lexicon = lexicon(self.language)
        self.vocabulary = scene.vocabulary
        self.said = _Said()

    def read(self) -> LineReading:
        bare = self.text.strip(_MARKS)
        if not bare:
            return LineReading("unclear")
        rest = self._answer(self.text, self.scene.question) if self.scene.question else self.text
        if rest == self.text and self._clause(bare, is_whole=True):
            rest = ""
        rest = self._clauses(rest)
        self._rest(rest)
        return self._reading()

    # Answers to a question.

    def _answer(self, text: str, question: Question) -> str:
        """Read the beginning of a line as the answer to the question. Return the rest of the line."""
        answers, spaced = self.words.answers, self.language != "zh"
        first = _CLAUSES.split(text, maxsplit=1)
        patterns: tuple[tuple[Answer, str], ...] = (("any", answers.any), ("no", answers.no), ("yes", answers.yes))
        for part, rest in ((text, ""), (first[0], _CUT.join(first[1:]))):
            plain = " ".join(_CLAUSES.sub(" ", part).split()).strip(_MARKS)
            for answer, pattern in patterns:
                # A gate needs a yes that no "no" stands beside.
                is_open = question.kind == "gate" and answer != "no"
                around = rf"(?!(?:{answers.no})(?:\s|$)){answers.around}" if is_open else answers.around
                if not consists_of(pattern, around, plain, spaced=spaced):
                    continue
                if answer == "any" and question.kind == "gate":
                    answer = "yes"
                self.said.answer = answer
                if answer == "any" and question.field:
                    self.said.dropped.append(question.field)
                self.said.acts.append(_act_of_answer(answer, question.kind))
                return rest
        return text

    # Acts of whole clauses.

    def _clauses(self, text: str) -> str:
        """Read the clauses that do something as a whole. Return the line without them."""
        position, rest = 0, text
        for mark in [*_CLAUSES.finditer(text), None]:
            end = mark.start() if mark else len(text)
            clause = text[position:end].strip(_MARKS)
            if clause and self._clause(clause, is_asked=bool(mark and re.search("[?\uff1f]", mark.group()))):
                rest = rest[:position] + _blank(text[position:end]) + rest[end:]
            position = mark.end() if mark else end
        return rest

    def _clause(self, clause: str, *, is_whole: bool = False, is_asked: bool = False) -> bool:
        """Read a clause that does something as a whole. Return whether it does."""
        references = self._references(clause)
        titles = [] if references else self.vocabulary.titles_in(clause)
        for name, act in _ACTS:
            if name in {"known", "reject", "accept", "why", "about_item"} and not (self.scene.listed or titles):
                continue
            if name == "approve" and (not is_whole or len(self.scene.focus) != 1 or self.scene.question):
                continue
            if titles and name in _OF_ITEMS and not is_whole and self._full(name, self._with_marks(clause, titles)):
                self.said.titles += titles
                self.said.acts.append(act)
                return True
            is_within = not is_whole and not (is_asked and act == "accept") and self._says_within(name, clause)
            if not (is_within or self._full(name, clause)):
                continue
            if name == "compare" and len(references) == 1 and not self.scene.listed:
                continue
            if name == "compare":
                references = self._references(self.text) or references
                self.said.titles += titles
            if name in _OF_ITEMS and not (name == "compare" and titles):
                self.said.beyond = self.said.beyond or (0 if references else self._number_beyond(clause))
                if not self.said.beyond:
                    self.said.items += references or (self._all_or_focus(clause, name))
            self.said.is_more |= name == "more"
            self.said.is_new_subject |= name == "reset"
            self.said.is_about_change |= name == "changed"
            self.said.is_about_state |= name == "state"
            self.said.acts.append(act)
            return True
        return False

    def _full(self, name: str, clause: str) -> bool:
        patterns = getattr(self.words.acts, name)
        item = self._item_pattern() if any("{item}" in pattern for pattern in patterns) else ""
        around = self.words.answers.around
        if name == "approve":
            plain = " ".join(_CLAUSES.sub(" ", clause).split())
            return consists_of("|".join(patterns), around, plain, spaced=self.language != "zh")
        plain = self._with_titles_marked(clause)
        bare = compiled(rf"^(?:{around}\s+)+|(?:\s+{around})+$").sub("", plain)
        return any(
            compiled(pattern.replace("{item}", item)).fullmatch(form)
            for pattern in patterns
            for form in dict.fromkeys([plain, bare])
        )

    def _says_within(self, name: str, clause: str) -> bool:
        """Return whether a clause says it in other words. A clause with a value of the catalogue is rather a wish."""
        patterns = getattr(self.words.within, name, ())
        if not patterns or not self.scene.listed or self.vocabulary.values_in(clause):
            return False
        item = self._item_pattern() if any("{item}" in pattern for pattern in patterns) else ""
        clause = self._with_titles_marked(clause)
        return any(compiled(word(pattern.replace("{item}", item))).search(clause) for pattern in patterns)

    def _all_or_focus(self, clause: str, act: str) -> list[int]:
        if act == "compare" or compiled(r"\b(?:none|all|them|these|those|keine[rs]?|alle)\b|都|全部").search(clause):
            return list(range(len(self.scene.listed)))
        return list(self.scene.focus[:1] if act != "known" else self.scene.focus)

    def _item_pattern(self) -> str:
        numbers = any_of([*map(re.escape, self.words.amounts.ordinals), r"\d{1,2}"])
        patterns = [pattern.replace("{n}", f"(?:{numbers})") for pattern in self.words.items.one]
        quoted = f"['\"\u201c\u300a]?{_TITLE}['\"\u201d\u300b]?"
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
        named += [int(match[1]) for match in re.finditer(r"(?<![\w.,])#?(\d{1,2})(?![\w.]|,\d)", text)]
        return max((number for number in named if number > last), default=0)

    def _with_marks(self, clause: str, titles: Sequence[str]) -> str:
        """Replace titles of the catalogue in a clause by marks."""
        for title in titles:
            for form in title_forms(title):
                start = clause.casefold().find(form)
                if start >= 0:
                    clause = f"{clause[:start]}{_TITLE}{clause[start + len(form) :]}"
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
                    clause = f"{clause[:start]}{_TITLE}{clause[end:]}"
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
        for match in re.finditer(r"(?<![\w.,])#?(\d{1,2})(?![\w.]|,\d)", text):
            if 1 <= int(match[1]) <= len(listed):
                places.setdefault(int(match[1]) - 1, match.start())
        return sorted(places, key=lambda position: places[position])

    # What the rest of a line says.

    def _rest(self, text: str) -> None:
        steps = (
            self._titles,
            self._affirmed,
            self._dropped,
            self._count,
            self._qualities,
            self._amounts,
            self._comparisons,
            self._allowed,
            self._described,
            self._refused_before,
            self._flags,
            self._not_that,
            self._negations,
            self._values,
        )
        for step in steps:
            text = step(text)
        self._wish(text)

    def _titles(self, text: str) -> str:
        """Read titles behind words that liken or refuse: "something like Star Wars", "not Fargo (1996)"."""
        before = any_of(self.words.negation.before)
        for pattern, is_refused in ((self.words.words.like, False), (before, True)):
            begin, end = ("", "") if self.language == "zh" else (r"(?<!\w)", r"(?!\w)")
            for match in compiled(rf"{begin}{pattern}{end}\s*['\"\u201c\u300a]?").finditer(text):
                rest = text[match.end() :]
                title, length = self.vocabulary.title_at_start(rest)
                listed = (
                    compiled(rf"{self._item_pattern()}(?!{LETTER})").match(rest)
                    if not title and not is_refused
                    else None
                )
                if listed and (positions := self._references(listed.group()) or list(self.scene.focus[:1])):
                    title, length = self.scene.listed[positions[0]].title, listed.end()
                # A short title may be a plain word, such as a kind that is refused.
                if not title or (is_refused and self.vocabulary.values_in(text[match.end() : match.end() + length])):
                    continue
                (self.said.titles if is_refused else self.said.liked).append(title)
                self.said.acts.append("exclude" if is_refused else "narrow" if self.scene.has_wishes else "want")
                return self._titles(f"{text[: match.start()]}{_CUT}{text[match.end() + length :]}")
        return text

    def _affirmed(self, text: str) -> str:
        """Take out two negations that affirm, so that what follows is not refused."""
        for pattern in self.words.negation.affirms:
            text = compiled(word(pattern) if self.language != "zh" else pattern).sub(_CUT, text)
        return text

    def _dropped(self, text: str) -> str:
        for info in self.vocabulary.fields.values():
            names = any_of([re.escape(name) for name in _names(info)])
            for pattern in self.words.negation.drop:
                full = word(pattern.replace("{x}", f"(?:{names})"))
                if match := compiled(full).search(text):
                    self.said.dropped.append(info.name)
                    text = _without(text, match.start(), match.end())
                    break
        return text

    def _count(self, text: str) -> str:
        numbers = {
            name: int(value) for name, value in self.words.amounts.numbers.items() if value >= 1 and value == int(value)
        }
        number = any_of([*map(re.escape, numbers), r"\d{1,3}(?![.,]?\d)"])
        for pattern in self.words.words.count:
            for match in compiled(word(pattern.replace("{n}", f"(?P<n>{number})"))).finditer(text):
                name = match["n"].casefold()
                value = int(name) if name.isdecimal() else numbers.get(name, 0)
                if name in {"a", "an", "ein", "eine", "einen", "the"} or not 1 <= value <= MOST_LISTED:
                    continue
                self.said.k = value
                return _without(text, match.start(), match.end())
        return text

    def _qualities(self, text: str) -> str:
        """Read "too long" and "not too long"."""
        negation = self.words.negation
        half = f"(?:{negation.too}|{negation.half_too})" if len(self.scene.focus) == 1 else negation.too
        for name, concept in concepts().items():
            info = self.vocabulary.of_concept(name)
            for qualities, is_much in ((concept.too_much, True), (concept.too_little, False)):
                if not qualities or (info is None and name != "audience"):
                    continue
                quality = any_of([re.escape(entry) for entry in qualities])
                # Of age ratings, "nothing violent" refuses kinds of items.
                mild = negation.not_too if name == "audience" else f"(?:{negation.not_too}|{negation.nothing})"
                for prefix, is_complaint in ((mild, False), (half, True)):
                    match = compiled(word(f"{prefix}\\s*{quality}")).search(text)
                    if match and self._quality(
                        name, info, is_much=is_much, is_complaint=is_complaint, text=match.group()
                    ):
                        text = _without(text, match.start(), match.end())
        # "Too scary": a quality that a kind of item has.
        for prefix, act in ((negation.not_too, "exclude"), (negation.too, "criticise")):
            for match in compiled(word(f"{prefix}\\s*([\\w-]+)")).finditer(text):
                values = self.vocabulary.values_in(match[1])
                if values:
                    self.said.refused += [value.value for value in values if value.field == "topics"]
                    self.said.acts.append("exclude" if act == "exclude" else "criticise")
                    return _without(text, match.start(), match.end())
        return text

    def _quality(self, name: str, info: FieldInfo | None, *, is_much: bool, is_complaint: bool, text: str) -> bool:
        if name == "audience":
            return self._milder(info, text) if is_much else False
        if info is None or not info.numbers:
            return False
        reference = self._reference(info) if is_complaint else None
        if reference is None:  # without an item, a quality is measured by the catalogue's middle
            self.said.conditions.append(
                Condition(field=info.name, op="<=" if is_much else ">=", value=info.quantile(0.5))
            )
        else:
            self._compare(info, "<" if is_much else ">", reference)
        self.said.acts.append("criticise" if is_complaint else "narrow")
        if is_complaint and len(self.scene.focus) == 1:
            self.said.items += self.scene.focus
        return True

    def _compare(self, info: FieldInfo, op: Op, value: float) -> None:
        condition = Condition(field=info.name, op=op, value=value)
        self.said.conditions.append(condition)
        self.said.compared.append(condition)

    def _milder(self, info: FieldInfo | None, text: str, *, for_all: bool = False) -> bool:
        """Ask for items that suit a younger audience. Without age ratings, violent kinds are refused."""
        order = concepts()["audience"].order
        known = [value for value in info.counts if value.casefold() in order] if info else []
        if not info or not known:
            kinds = [value.value for value in self.vocabulary.values_in(text) if value.field == "topics"]
            if for_all:  # "something for kids"
                several = len(kinds) > 1
                op: Op = "contains_any" if several else "contains"
                value = tuple(kinds) if several else kinds[0] if kinds else ""
                self.said.conditions += [Condition(field="topics", op=op, value=value)] if kinds else []
                return bool(kinds)
            self.said.refused += kinds
            self.said.acts.append("criticise")
            return bool(kinds)
        limit = order.index("pg")
        if not for_all:
            values = [item.fact(info.name) for item in self._focus()]
            ranks = [
                order.index(value.casefold())
                for value in values
                if isinstance(value, str) and value.casefold() in order
            ]
            limit = min(ranks) - 1 if ranks else order.index("pg-13")
        mild = tuple(value for value in known if order.index(value.casefold()) <= limit)
        if not mild:
            mild = (min(known, key=lambda value: order.index(value.casefold())),)
        self.said.conditions.append(Condition(field=info.name, op="in", value=mild))
        self.said.acts.append("narrow" if for_all else "criticise")
        return True

    def _amounts(self, text: str) -> str:
        question = self.scene.question
        asked = question.field if question and question.field else ""
        for start, end, conditions in sorted(
            conditions_in(text, self.language, self.vocabulary, asked=asked), reverse=True, key=lambda limit: limit[0]
        ):
            self.said.conditions += conditions
            text = _without(text, start, end)
        for start, end, concept in reversed(unknown_amounts(text, self.language, self.vocabulary)):
            self.said.missing.append(concept)
            text = _without(text, start, end)
        return text

    def _comparisons(self, text: str) -> str:
        """Read "cheaper", "shorter" and the like. They compare with the item that is talked about, or with the list."""
        text = compiled(self.words.words.the_better).sub(lambda match: match["x"], text)
        for name, concept in concepts().items():
            info = self.vocabulary.of_concept(name)
            for entries, is_less in ((concept.less, True), (concept.more, False)):
                compared = any_of([re.escape(entry) for entry in entries])
                # German comparisons have endings: "etwas Kürzeres".
                match = entries and compiled(word(f"{compared}(?:e[rsnm]?)?")).search(text)
                if not match or self._is_refused(text, match.start()):
                    continue
                if name == "audience" and is_less:
                    family = compiled(r"famil|kid|child|kind|孩|童").search(match.group())
                    if self._milder(info, match.group(), for_all=bool(family)):
                        text = _without(text, match.start(), match.end())
                    continue
                if info is None or not info.numbers:
                    self.said.missing.append(name)
                    text = _without(text, match.start(), match.end())
                    continue
                reference = self._reference(info)
                if reference is None:
                    self._compare(info, "<=" if is_less else ">=", info.quantile(1 / 3 if is_less else 2 / 3))
                    self.said.acts.append("narrow")
                else:
                    self._compare(info, "<" if is_less else ">", reference)
                    self.said.acts.append("criticise")
                text = _without(text, match.start(), match.end())
        return text

    def _is_refused(self, text: str, position: int) -> bool:
        """Return whether what stands at a position is refused: "nothing cheap"."""
        return bool(compiled(rf"(?<!\w){any_of(self.words.negation.before)}\s*$").search(text[:position]))

    def _focus(self) -> list[Item]:
        positions = self._references(self.text) or list(self.scene.focus)
        return [self.scene.listed[position] for position in positions if position < len(self.scene.listed)]

    def _reference(self, info: FieldInfo) -> float | None:
        """Return the value to compare with: that of the item talked about, or the middle of the list."""
        items = self._focus() or list(self.scene.listed)
        values = sorted(value for value in (number_of(item, info) for item in items) if value is not None)
        return values[len(values) // 2] if values else None

    def _allowed(self, text: str) -> str:
        for pattern in self.words.negation.allow:
            for match in compiled(
                word(pattern.replace("{x}", "(?P<x>[\\w'\u4e00-\u9fff+-]+(?: [\\w'+-]+)??)"))
            ).finditer(text):
                values = [value.value for value in self.vocabulary.values_in(match["x"])]
                refused = {entry.casefold() for entry in self.scene.refused}
                allowed = [value for value in values if value.casefold() in refused]
                if not allowed and match["x"].casefold() in refused:
                    allowed.append(match["x"].casefold())
                question = self.scene.question
                if question and question.kind == "gate" and values:  # "R is fine"
                    before = any_of(self.words.negation.before)
                    is_no = compiled(rf"(?<!\w)(?:{before}|{self.words.answers.no})(?!\w)").search(self.text)
                    self.said.answer = self.said.answer or ("no" if is_no else "yes")
                if allowed or (values and not self._is_wish(match.group())):
                    self.said.allowed += allowed or values
                    self.said.acts.append("allow")
                    text = _without(text, match.start(), match.end())
                    break
        return text

    def _described(self, text: str) -> str:
        """Read what is said of the item on the screen. "That's not a drama" asks for one."""
        if not self.scene.listed:
            return text
        for patterns, is_asked in ((self.words.negation.is_no_kind, True), (self.words.negation.is_kind, False)):
            for start, end, named in self._around_value(patterns, text):
                if is_asked:
                    values = self._meant(named)
                    self.said.conditions += [
                        part
                        for value in values
                        for part in _conditions(self.vocabulary.fields[value.field], [value], "")
                    ]
                    self.said.acts.append("criticise")
                text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
        return text

    def _refused_before(self, text: str) -> str:
        """Read refusals that follow what they refuse: "drama is not for me"."""
        for start, end, named in self._around_value(self.words.negation.after, text):
            for value in reversed(self.vocabulary.values_in(text[:start])):  # "musicals and westerns are out"
                if not compiled(_alternatives(self.words)).fullmatch(_bare(text[value.end : start])):
                    break
                start, named = value.start, [value, *named]
            self._refuse_values(named)
            self.said.acts.append("exclude")
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
        return text

    def _around_value(self, patterns: Sequence[str], text: str) -> Iterator[tuple[int, int, list[Value]]]:
        """Yield where patterns match whose `{x}` is a value of the catalogue, and the values that it may be."""
        for (start, end), named in _by_span(self.vocabulary.values_in(text)):
            marked = f"{text[:start]}{_VALUE}{text[end:]}"
            for pattern in patterns:
                if match := compiled(word(pattern.replace("{x}", _VALUE))).search(marked):
                    yield match.start(), match.end() + (end - start) - len(_VALUE), named
                    break

    def _is_wish(self, phrase: str) -> bool:
        """Return whether a phrase such as "comedy is fine" answers a question or begins a wish. Nothing was refused."""
        question = self.scene.question
        return question.kind != "gate" if question else not self.scene.refused

    def _not_that(self, text: str) -> str:
        """Read "not that brand": the value that the item talked about has is refused."""
        focus = self._focus()
        for info in self.vocabulary.fields.values() if len(focus) == 1 else ():
            value = focus[0].fact(info.name)
            if info.kind not in {"text", "list"} or not value:
                continue
            names = any_of([re.escape(name) for name in _names(info)])
            before = any_of(self.words.negation.before)
            match = compiled(
                rf"(?<!\w)(?:{before})\s+(?:that|this|the same|diese[rsn]?|这个|这种)\s*{names}(?!\w)"
            ).search(text)
            if match:
                for one in value if isinstance(value, tuple) else (str(value),):
                    self._refuse_values([Value(info.name, one, match.start(), match.end())])
                self.said.acts.append("exclude")
                text = _without(text, match.start(), match.end())
        return text

    def _flags(self, text: str) -> str:
        """Read flags of items: "in stock", "dishwasher safe", "not sponsored"."""
        available = any_of([re.escape(name) for name in concepts()["available"].words])
        if not self.vocabulary.of_concept("available") and (match := compiled(word(available)).search(text)):
            self.said.missing.append("available")
            text = _without(text, match.start(), match.end())
        for info in self.vocabulary.fields.values():
            if info.kind != "flag":
                continue
            names = any_of([re.escape(name) for name in _names(info)])
            before = any_of(self.words.negation.before)
            match = compiled(rf"(?<!\w)(?P<no>{before}\s+)?(?:the )?{word(names)}(?:\s+ones?\b)?").search(text)
            if match:
                self.said.conditions.append(Condition(field=info.name, op="==", value=match["no"] is None))
                text = _without(text, match.start(), match.end())
        return text

    def _negations(self, text: str) -> str:
        negation = self.words.negation
        ends = any_of([rf"\b{end}(?!\w)" if end[:1].isascii() and end[:1].isalpha() else end for end in negation.ends])
        before = any_of(negation.before)
        begin, end = ("", "") if self.language == "zh" else (r"(?<!\w)", r"(?!\w)")
        stop = r"[.;!?|\u3002\uff01\uff1f]"
        pattern = re.compile(
            rf"{begin}{before}{end}\s*(?P<x>[^.;!?|\u3002\uff01\uff1f]*?)\s*(?={ends}|{begin}{before}\s|{stop}|$)",
            re.IGNORECASE,
        )
        named = {value.start for value in self.vocabulary.values_in(text)}
        for match in reversed(list(pattern.finditer(text))):
            is_value = any(match.start() <= start < match.start("x") for start in named)
            if not match["x"].strip(_MARKS) or is_value:  # "not rated" is a value
                continue
            kept = self._refuse(match["x"])
            self.said.acts.append("exclude")
            text = (
                _without(text, match.start(), match.end())
                if kept is None
                else f"{text[: match.start()]}{_CUT}{kept}{text[match.end() :]}"
            )
        return text

    def _refuse(self, phrase: str) -> str | None:
        """Refuse what a phrase names. Return the rest of the phrase if it is no part of the refusal."""
        parts = re.split(_alternatives(self.words), phrase, flags=re.IGNORECASE)
        for number, part in enumerate(parts):
            values = self.vocabulary.values_in(part)
            own = _meaningful(part, self.words)
            if values:
                self._refuse_values(values)
            elif title := self.vocabulary.title_in(part):
                self.said.titles.append(title)
            elif own and number and len(own) > LONGEST_REFUSAL:
                return ", ".join(parts[number:])  # "no horror, something that makes me laugh"
            elif own:
                self.said.refused.append(" ".join(own[:LONGEST_REFUSAL]))
        return None

    def _refuse_values(self, values: Sequence[Value]) -> None:
        for value in values:
            info = self.vocabulary.fields[value.field]
            if value.field == "topics":
                self.said.refused.append(value.value)
            else:
                op = "not_contains" if info.kind == "list" else "!="
                self.said.conditions.append(Condition(field=value.field, op=op, value=value.value))

    def _values(self, text: str) -> str:
        values = self._meant(self.vocabulary.values_in(text))
        by_field: dict[str, list[Value]] = {}
        for value in values:
            by_field.setdefault(value.field, []).append(value)
        for name, named in by_field.items():
            fact = self.scene.fact_fields.get(name)
            texts = tuple(dict.fromkeys(value.value for value in named))
            if fact and (self._is_about_fact(name) or self._full("fact", self.text.strip(_MARKS))):
                self.said.facts[fact] = texts
                self.said.acts.append("fact")
            else:
                self.said.conditions += _conditions(self.vocabulary.fields[name], named, text)
        for start, end in sorted({(value.start, value.end) for value in values}, reverse=True):
            text = _without(text, start, end)
        return text

    def _is_about_fact(self, name: str) -> bool:
        question = self.scene.question
        return question is not None and question.kind == "fact" and question.field == name

    def _meant(self, values: Sequence[Value]) -> list[Value]:
        """Keep the values of one field for each phrase: the field that was asked for, the topics, or the first."""
        asked = self.scene.question.field if self.scene.question else None
        meant: list[Value] = []
        for _, named in _by_span(values):
            fields = [value.field for value in named]
            name = asked if asked in fields else "topics" if "topics" in fields else fields[0]
            of_field = [value for value in named if value.field == name]
            if len(of_field) == 1:  # a broad word such as "violent" names several kinds, and asks for none of them
                meant += of_field
        return meant

    def _wish(self, text: str) -> None:
        # Parts that were understood stand between the parts of the wish.
        parts = [" ".join(_meaningful(part, self.words)) for line in text.split("|") for part in _CLAUSES.split(line)]
        wish = " ".join(part for part in parts if part)
        limited = {self.vocabulary.fields[one.field].concept for one in self.said.conditions}
        if self.said.answer and self.scene.question and self.scene.question.field in self.vocabulary.fields:
            limited.add(self.vocabulary.fields[self.scene.question.field].concept)
        if limited:  # "rated R" is said, and "rated" alone is no wish
            of_limited = [concept for name, concept in concepts().items() if name in limited]
            named = {name for concept in concepts().values() for name in concept.words}
            named |= {name for one in of_limited for name in (*one.too_much, *one.too_little, *one.context)}
            wish = " ".join(token for token in wish.split() if token.casefold() not in named)
        if not wish:
            is_open = compiled(word(any_of(self.words.words.want))).search(text)
            if is_open and not set(self.said.acts) - {"small_talk"} and not self.scene.question:
                self.said.acts.append("want")  # "can you recommend something?"
            return
        title = self.vocabulary.title_in(wish)
        if title:
            self.said.titles.append(title)
        elif not any(character.isalpha() for character in wish):
            return
        if self.language == "en" and not any(map(self._is_word, wish.split())):
            return
        if self.language == "zh" and all(
            len(token) == 1 and token not in self.vocabulary.words for token in wish.split()
        ):
            return
        self.said.wants.append(wish)
        self.said.acts.append("narrow" if self.scene.has_wishes else "want")

    def _is_word(self, token: str) -> bool:
        """Return whether a word is one of the catalogue or of English. Other words are noise."""
        return token.casefold() in self.vocabulary.words or pieces(token) <= max(2, len(token) // 4)

    def _close_gate(self) -> None:
        """Take a yes for a no if the line refuses a value of the field that the gate is about: "sure, but not R"."""
        question = self.scene.question
        if not question or question.kind != "gate" or self.said.answer not in {"yes", "any"}:
            return
        negative = [one for one in self.said.conditions if one.op.startswith(("not", "!"))]
        if any(one.field == question.field for one in negative) or (question.field == "topics" and self.said.refused):
            self.said.answer = "no"
            self.said.acts = [*filter(lambda act: act != "allow", self.said.acts), "exclude"]

    def _fact_of_conditions(self) -> None:
        """Take a condition that answers the question for a fact as the fact."""
        question = self.scene.question
        fact = self.scene.fact_fields.get(question.field or "") if question and question.kind == "fact" else None
        if not fact or not question or fact in self.said.facts:
            return
        limits = [
            one for one in self.said.conditions if one.field == question.field and not one.op.startswith(("not", "!"))
        ]
        values = [value for one in limits for value in (one.value if isinstance(one.value, tuple) else (one.value,))]
        if values:
            self.said.facts[fact] = tuple(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
            self.said.conditions = [one for one in self.said.conditions if one not in limits]
            self.said.acts.append("fact")

    def _is_reference(self) -> bool:
        """Return whether the line only refers to an item of the list."""
        rest = compiled(self._item_pattern()).sub(" ", self._with_titles_marked(self.text))
        return bool(self._references(self.text)) and not _meaningful(rest, self.words)

    def _reading(self) -> LineReading:
        said = self.said
        # "Too long, at most 90 minutes": the number says it better than the comparison.
        better = [one for one in said.compared if _is_said_better(one, said.conditions, said.compared)]
        said.conditions = [one for one in said.conditions if one not in better]
        if self.scene.question and not said.acts and said.conditions:
            said.acts.append("narrow")
        if said.conditions and not {"criticise", "exclude", "fact"} & set(said.acts):
            said.acts.append("narrow" if self.scene.has_wishes or self.scene.question else "want")
        if said.missing:
            said.acts.append("narrow")
        if said.dropped or said.k is not None:
            said.acts.append("narrow")
        if not said.acts and len(self.scene.listed) > 1 and self._is_reference():
            said.acts.append("accept")  # "the second one then"
            said.items += self._references(self.text)
        # "Drama would be fine, just not a sad one": what is allowed in so many words is not refused as well.
        allowed = {value.casefold() for value in said.allowed}
        allowed |= {
            str(value).casefold()
            for one in said.conditions
            if one.field == "topics" and one.op.startswith("contains")
            for value in (one.value if isinstance(one.value, tuple) else (one.value,))
        }
        said.refused = [value for value in said.refused if value.casefold() not in allowed]
        if said.titles and "exclude" in said.acts:
            said.acts.append("reject")
        self._close_gate()
        self._fact_of_conditions()
        act: Act = next((act for act in _RANK if act in said.acts), "unclear")
        if act == "narrow" and "want" in said.acts and not self.scene.has_wishes:
            act = "want"
        return LineReading(
            act=act,
            wants=_distinct(said.wants),
            conditions=_distinct(said.conditions),
            refused=_distinct(said.refused),
            allowed=_distinct(said.allowed),
            dropped=_distinct(said.dropped),
            items=_distinct(said.items),
            titles=_distinct(said.titles),
            liked=_distinct(said.liked),
            beyond=said.beyond,
            k=said.k,
            answer=said.answer,
            facts=said.facts,
            missing=_distinct(said.missing),
            acts=_distinct(said.acts),
            is_more=said.is_more,
            is_new_subject=said.is_new_subject,
            is_about_change=said.is_about_change,
            is_about_state=said.is_about_state,
        )


def _by_span(values: Iterable[Value]) -> list[tuple[tuple[int, int], list[Value]]]:
    """Return the values by the part of the line that names them."""
    spans: dict[tuple[int, int], list[Value]] = {}
    for value in values:
        spans.setdefault((value.start, value.end), []).append(value)
    return list(spans.items())


def _act_of_answer(answer: Answer, kind: str) -> Act:
    if kind == "gate":
        return "allow" if answer == "yes" or answer == "any" else "exclude"
    return "narrow"


def _conditions(info: FieldInfo, values: Sequence[Value], text: str) -> list[Condition]:
    """Return the conditions that the named values of a field set.

    Of topics, all are wanted unless the line says "or". Of other lists, one is enough: a film on one of two services.
    """
    texts = tuple(dict.fromkeys(value.value for value in values))
    order = concepts()[info.concept].order if info.concept else ()
    if len(texts) == 1 and texts[0].casefold() in order:
        limited = _up_to(info, texts[0], values[0], text, order)
        if limited:
            return [limited]
    if info.kind == "text":
        single = Condition(field=info.name, op="==", value=texts[0])
        return [single if len(texts) == 1 else Condition(field=info.name, op="in", value=texts)]
    if len(texts) == 1:
        return [Condition(field=info.name, op="contains", value=texts[0])]
    gaps = [text[one.end : other.start] for one, other in pairwise(values)]
    if info.name != "topics" or any(compiled(r"\b(?:or|oder)\b|/|或").search(gap) for gap in gaps):
        return [Condition(field=info.name, op="contains_any", value=texts)]
    return [Condition(field=info.name, op="contains", value=value) for value in texts]


def _up_to(info: FieldInfo, value: str, named: Value, text: str, order: Sequence[str]) -> Condition | None:
    """Return the condition of a bound of ordered values: "PG-13 at most" is `PG` or `PG-13`. None without a bound."""
    words = lexicon(language_of(text)).amounts
    before, after = text[: named.start], text[named.end :]
    is_most = compiled(rf"\s*{any_of(words.or_less)}(?!\w)").match(after) or compiled(
        r"\b(?:at most|up to|max(?:imum)?|höchstens|maximal|bis)\s*$|最多$"
    ).search(before)
    is_least = compiled(rf"\s*{any_of(words.or_more)}(?!\w)").match(after)
    if not is_most and not is_least:
        return None
    rank = order.index(value.casefold())
    ranks = range(rank + 1) if is_most else range(rank, len(order))
    allowed = tuple(known for known in info.counts if known.casefold() in {order[number] for number in ranks})
    return Condition(field=info.name, op="in", value=allowed) if allowed else None


def _is_said_better(one: Condition, conditions: Sequence[Condition], compared: Sequence[Condition]) -> bool:
    """Return whether the line limits the same field in the same direction by a number of its own."""
    others = [other for other in conditions if other not in compared and other.field == one.field]
    return any(other.op[:1] == one.op[:1] for other in others)


def _names(info: FieldInfo) -> list[str]:
    concept = concepts().get(info.concept)
    return [info.name.replace("_", " "), *(concept.words if concept else ())]


def _meaningful(text: str, words: Lexicon) -> list[str]:
    """Return the words of a text that say something: not those that only begin or fill a sentence."""
    tokens = TOKEN.findall(text)
    if any("\u4e00" <= token <= "\u9fff" for token in tokens):
        plain = text
        for filler in sorted(words.fillers, key=len, reverse=True):
            plain = plain.replace(filler, " ") if not filler.isascii() else plain
        return [part.strip(_MARKS) for part in plain.split() if part.strip(_MARKS)]
    return [token for token in tokens if token.casefold() not in words.fillers]


def _alternatives(words: Lexicon) -> str:
    """Return a pattern of what stands between two refused things."""
    named = [word(entry) for entry in words.negation.alternatives if entry.isalpha()]
    return rf"\s*(?:[,/&\u3001\uff0c]|{any_of(named)})\s*"


def _bare(text: str) -> str:
    """Return what stands between two values without the word for their kind: "dramas and" of "drama films and"."""
    return re.sub(r"\b(?:films?|movies?|filme?)\b|片", "", text).strip()


def _without(text: str, start: int, end: int) -> str:
    return f"{text[:start]}{_CUT}{text[end:]}"


def _blank(text: str) -> str:
    return "|".ljust(len(text))


def _distinct(values: Iterable[object]) -> tuple:  # type: ignore[type-arg]
    return tuple(dict.fromkeys(values))
