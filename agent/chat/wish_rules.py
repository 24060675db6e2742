"""Read what a line wants: numbers, comparisons, qualities, values, titles, and the words that are left."""

import re

from whimbrel.agent.chat.amounts import conditions_in, unknown_amounts
from whimbrel.agent.chat.lexicon import (
    LETTER,
    any_of,
    compiled,
    concepts,
    word,
)
from whimbrel.agent.chat.line_parts import (
    CLAUSES,
    CUT,
    MARKS,
    meaningful,
    names_of,
    without,
)
from whimbrel.agent.chat.named_values import conditions_of
from whimbrel.agent.chat.refusal_rules import RefusalRules
from whimbrel.agent.chat.spelling import pieces
from whimbrel.agent.chat.vocabulary import FieldInfo, Value
from whimbrel.tools.conditions import Condition, Op

MOST_LISTED = 50


class WishRules(RefusalRules):
    """The steps that read wishes. Each returns the line without what it understood."""

    def read_rest(self, text: str) -> None:
        """Read what the clauses that do something as a whole left of the line."""
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
                return self._titles(f"{text[: match.start()]}{CUT}{text[match.end() + length :]}")
        return text

    def _dropped(self, text: str) -> str:
        for info in self.vocabulary.fields.values():
            names = any_of([re.escape(name) for name in names_of(info)])
            for pattern in self.words.negation.drop:
                full = word(pattern.replace("{x}", f"(?:{names})"))
                if match := compiled(full).search(text):
                    self.said.dropped.append(info.name)
                    text = without(text, match.start(), match.end())
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
                return without(text, match.start(), match.end())
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
                        text = without(text, match.start(), match.end())
        # "Too scary": a quality that a kind of item has.
        for prefix, act in ((negation.not_too, "exclude"), (negation.too, "criticise")):
            for match in reversed(list(compiled(word(f"{prefix}\\s*([\\w-]+)")).finditer(text))):
                values = self.vocabulary.values_in(match[1])
                if values:
                    self.said.refused += [value.value for value in values if value.field == "topics"]
                    self.said.acts.append("exclude" if act == "exclude" else "criticise")
                    text = without(text, match.start(), match.end())
        return text

    def _quality(self, name: str, info: FieldInfo | None, *, is_much: bool, is_complaint: bool, text: str) -> bool:
        if name == "audience":
            return self._milder(info, text) if is_much else False
        if info is None or not info.numbers:
            return False
        reference = self._reference(info) if is_complaint else None
        if reference is None:  # without an item, a quality is measured by the catalogue's middle
            self._compare(info, "<=" if is_much else ">=", info.quantile(0.5))
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
            text = without(text, start, end)
        for start, end, concept in reversed(unknown_amounts(text, self.language, self.vocabulary)):
            self.said.missing.append(concept)
            text = without(text, start, end)
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
                        text = without(text, match.start(), match.end())
                    continue
                if info is None or not info.numbers:
                    self.said.missing.append(name)
                    text = without(text, match.start(), match.end())
                    continue
                reference = self._reference(info)
                if reference is None:
                    self._compare(info, "<=" if is_less else ">=", info.quantile(1 / 3 if is_less else 2 / 3))
                    self.said.acts.append("narrow")
                else:
                    self._compare(info, "<" if is_less else ">", reference)
                    self.said.acts.append("criticise")
                text = without(text, match.start(), match.end())
        return text

    def _is_refused(self, text: str, position: int) -> bool:
        """Return whether what stands at a position is refused: "nothing cheap"."""
        return bool(compiled(rf"(?<!\w){any_of(self.words.negation.before)}\s*$").search(text[:position]))

    def _values(self, text: str) -> str:
        values = self._meant(self.vocabulary.values_in(text))
        by_field: dict[str, list[Value]] = {}
        for value in values:
            by_field.setdefault(value.field, []).append(value)
        for name, named in by_field.items():
            fact = self.scene.fact_fields.get(name)
            texts = tuple(dict.fromkeys(value.value for value in named))
            if fact and (self._is_about_fact(name) or self._full("fact", self.text.strip(MARKS))):
                self.said.facts[fact] = texts
                self.said.acts.append("fact")
            else:
                self.said.conditions += conditions_of(self.vocabulary.fields[name], named, text)
        for start, end in sorted({(value.start, value.end) for value in values}, reverse=True):
            text = without(text, start, end)
        return text

    def _is_about_fact(self, name: str) -> bool:
        question = self.scene.question
        return question is not None and question.kind == "fact" and question.field == name

    def _wish(self, text: str) -> None:
        # Parts that were understood stand between the parts of the wish.
        parts = [" ".join(meaningful(part, self.words)) for line in text.split("|") for part in CLAUSES.split(line)]
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
