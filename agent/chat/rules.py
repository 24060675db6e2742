"""Read a line by rules: what it does, and what it says of the items that are wanted.

The rules know English, German and Chinese. Their words are data (see `lexicon`). A line is read in steps, and each step
takes the part of the line that it understood. What is left are the words of a wish.
"""

import re
from collections.abc import Sequence

from whimbrel.agent.chat.lexicon import (
    any_of,
    compiled,
    concepts,
    consists_of,
    language_of,
    word,
)
from whimbrel.agent.chat.line_parts import (
    CLAUSES,
    CUT,
    MARKS,
    blank,
    distinct,
    meaningful,
    names_of,
)
from whimbrel.agent.chat.reading import Act, Answer, LineReading, Question, Scene
from whimbrel.agent.chat.spelling import spelled
from whimbrel.agent.chat.wish_rules import WishRules
from whimbrel.tools.clean import clean_text
from whimbrel.tools.conditions import Condition

LONGEST_LINE = 500
"""Characters of a line that are read."""
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


class _Reader(WishRules):
    """Reads one line."""

    def read(self) -> LineReading:
        bare = self.text.strip(MARKS)
        if not bare:
            return LineReading("unclear")
        if not self.scene.question and self._has_no_preference(bare):
            return LineReading("want", is_open=True)
        rest = self._answer(self.text, self.scene.question) if self.scene.question else self.text
        if rest == self.text and self._clause(bare, is_whole=True):
            rest = ""
        rest = self._clauses(rest)
        self.read_rest(rest)
        return self._reading()

    def _has_no_preference(self, bare: str) -> bool:
        """Return whether a line leaves the choice open: "whatever"."""
        plain = " ".join(CLAUSES.sub(" ", bare).split())
        names = [re.escape(name) for info in self.vocabulary.fields.values() for name in names_of(info)]
        if names and compiled(word(any_of(names))).search(plain):
            return False  # "any length is fine"
        answers, spaced = self.words.answers, self.language != "zh"
        return any(consists_of(one, answers.around, plain, spaced=spaced) for one in (answers.any, answers.unsure))

    def _begins_a_wish(self) -> bool:
        return bool(compiled(word(any_of(self.words.words.want))).search(self.text))

    def _answer(self, text: str, question: Question) -> str:
        """Read the beginning of a line as the answer to the question. Return the rest of the line."""
        answers, spaced = self.words.answers, self.language != "zh"
        first = CLAUSES.split(text, maxsplit=1)
        patterns: tuple[tuple[Answer, str], ...] = (("any", answers.any), ("no", answers.no), ("yes", answers.yes))
        for part, rest in ((text, ""), (first[0], CUT.join(first[1:]))):
            plain = " ".join(CLAUSES.sub(" ", part).split()).strip(MARKS)
            for answer, pattern in patterns:
                # A gate needs a yes that no "no" stands beside.
                is_open = question.kind == "gate" and answer != "no"
                around = rf"(?!(?:{answers.no})(?:\s|$)){answers.around}" if is_open else answers.around
                if not consists_of(pattern, around, plain, spaced=spaced):
                    continue
                if answer == "any" and question.kind == "gate":
                    is_unsure = consists_of(answers.unsure, around, plain, spaced=spaced)
                    answer = "no" if is_unsure else "yes"
                self.said.answer = answer
                if answer == "any" and question.field:
                    self.said.dropped.append(question.field)
                self.said.acts.append(_act_of_answer(answer, question.kind))
                return rest
        return text

    def _clauses(self, text: str) -> str:
        """Read the clauses that do something as a whole. Return the line without them."""
        position, rest = 0, text
        for mark in [*CLAUSES.finditer(text), None]:
            end = mark.start() if mark else len(text)
            clause = text[position:end].strip(MARKS)
            if clause and self._clause(clause, is_asked=bool(mark and re.search("[?\uff1f]", mark.group()))):
                rest = rest[:position] + blank(text[position:end]) + rest[end:]
            position = mark.end() if mark else end
        return rest

    def _clause(self, clause: str, *, is_whole: bool = False, is_asked: bool = False) -> bool:
        """Read a clause that does something as a whole. Return whether it does."""
        references = self._references(clause)
        titles = [] if references else self.vocabulary.titles_in(clause)
        for name, act in _ACTS:
            if not self._can_be(name, is_whole=is_whole, has_titles=bool(titles)):
                continue
            is_named = name in _OF_ITEMS and not is_whole and bool(titles)
            if is_named and self._full(name, self._with_marks(clause, titles)):
                self.said.titles += titles
                self.said.acts.append(act)
                return True
            is_within = not is_whole and not (is_asked and act == "accept") and self._says_within(name, clause)
            if not (is_within or self._full(name, clause)):
                continue
            if name == "compare":
                references = self._references(self.text) or references
                self.said.titles += titles
                self.said.beyond = self._number_beyond(clause) if self.scene.listed else 0
            if name in _OF_ITEMS and self.scene.listed and not (name == "compare" and titles):
                self._refer(name, clause, references)
            self.said.is_more |= name == "more"
            self.said.is_new_subject |= name == "reset"
            self.said.is_about_change |= name == "changed"
            self.said.is_about_state |= name == "state"
            self.said.acts.append(act)
            return True
        return self._asks_about(clause, references, titles, is_whole=is_whole)

    def _asks_about(self, clause: str, references: list[int], titles: list[str], *, is_whole: bool) -> bool:
        """Read a question about an item in words that no pattern has: "what is special about the second"."""
        items = self.words.items
        ordinals = any_of([*map(re.escape, self.words.amounts.ordinals)])
        is_named = (
            bool(references or titles or compiled(word(ordinals)).search(clause))
            or (bool(self.scene.listed) and bool(self._number_beyond(clause)))
            or (bool(self.scene.focus) and self._names_focus(clause))
        )
        is_question = compiled(any_of(items.asks)).search(clause) and not compiled(any_of(items.asks_not)).search(
            clause
        )
        if is_whole or not is_named or not is_question or self._compares(clause):
            return False
        if self.scene.listed and (references or not titles):
            self._refer("about_item", clause, references)
        self.said.titles += titles
        self.said.acts.append("about_item")
        return True

    def _names_focus(self, clause: str) -> bool:
        return bool(compiled(word(any_of(self.words.items.focus))).search(clause))

    def _compares(self, clause: str) -> bool:
        """Return whether a clause asks for more or less of something."""
        compared = [entry for concept in concepts().values() for entry in (*concept.less, *concept.more)]
        return bool(compiled(word(any_of([re.escape(entry) for entry in compared]))).search(clause))

    def _can_be(self, name: str, *, is_whole: bool, has_titles: bool) -> bool:
        """Return whether a line can do this in its scene. Without a list, items can only be asked about."""
        if name in {"known", "reject", "accept"}:
            return bool(self.scene.listed) or has_titles
        if name == "approve":
            return is_whole and len(self.scene.focus) == 1 and not self.scene.question
        return True

    def _refer(self, name: str, clause: str, references: list[int]) -> None:
        """Keep the items that a clause refers to, or the number that the list does not have."""
        self.said.beyond = self.said.beyond or (0 if references else self._number_beyond(clause))
        if self.said.beyond:
            return
        is_one = name == "compare" and len(references) == 1 and len(self.scene.focus) == 1
        if is_one and self._names_focus(clause):  # "compare it with the second"
            references = [*self.scene.focus, *references]
        self.said.items += references or self._all_or_focus(clause, name)

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
        return bool(self._references(self.text)) and not meaningful(rest, self.words)

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
            wants=distinct(said.wants),
            conditions=distinct(said.conditions),
            refused=distinct(said.refused),
            allowed=distinct(said.allowed),
            dropped=distinct(said.dropped),
            items=distinct(said.items),
            titles=distinct(said.titles),
            liked=distinct(said.liked),
            beyond=said.beyond,
            k=said.k,
            answer=said.answer,
            facts=said.facts,
            missing=distinct(said.missing),
            acts=distinct(said.acts),
            is_more=said.is_more,
            is_new_subject=said.is_new_subject,
            is_about_change=said.is_about_change,
            is_about_state=said.is_about_state,
            is_said=bool(said.wants) and self._begins_a_wish(),
        )


def _act_of_answer(answer: Answer, kind: str) -> Act:
    if kind == "gate":
        return "allow" if answer == "yes" or answer == "any" else "exclude"
    return "narrow"


def _is_said_better(one: Condition, conditions: Sequence[Condition], compared: Sequence[Condition]) -> bool:
    """Return whether the line limits the same field in the same direction by a number of its own."""
    others = [other for other in conditions if other not in compared and other.field == one.field]
    return any(other.op[:1] == one.op[:1] for other in others)
