"""Read what a line refuses, allows again, or says of the item on the screen."""

import re
from collections.abc import Iterator, Sequence

from whimbrel.agent.chat.lexicon import (
    any_of,
    compiled,
    concepts,
    word,
)
from whimbrel.agent.chat.line_parts import (
    CUT,
    MARKS,
    VALUE,
    LineParts,
    alternatives,
    bare,
    by_span,
    meaningful,
    names_of,
    without,
)
from whimbrel.agent.chat.named_values import conditions_of
from whimbrel.agent.chat.vocabulary import Value
from whimbrel.tools.conditions import Condition

LONGEST_REFUSAL = 4  # words


class RefusalRules(LineParts):
    """The steps that read refusals and permissions. Each returns the line without what it understood."""

    def _affirmed(self, text: str) -> str:
        """Take out two negations that affirm, so that what follows is not refused."""
        for pattern in self.words.negation.affirms:
            text = compiled(word(pattern) if self.language != "zh" else pattern).sub(CUT, text)
        return text

    def _allowed(self, text: str) -> str:
        for pattern in self.words.negation.allow:
            for match in compiled(
                word(pattern.replace("{x}", "(?P<x>[\\w'\u4e00-\u9fff+-]+(?: [\\w'+-]+)??)"))
            ).finditer(text):
                known = self.vocabulary.values_in(match["x"])
                values = [value.value for value in known]
                refused = {entry.casefold() for entry in self.scene.refused}
                allowed = [value for value in values if value.casefold() in refused]
                if not allowed and match["x"].casefold() in refused:
                    allowed.append(match["x"].casefold())
                question = self.scene.question
                is_of_gate = question and question.kind == "gate" and any(v.field == question.field for v in known)
                if is_of_gate:  # "R is fine"
                    before = any_of(self.words.negation.before)
                    is_no = compiled(rf"(?<!\w)(?:{before}|{self.words.answers.no})(?!\w)").search(self.text)
                    self.said.answer = self.said.answer or ("no" if is_no else "yes")
                if allowed or (values and not self._is_wish(match.group())):
                    self.said.allowed += allowed or values
                    self.said.acts.append("allow")
                    text = without(text, match.start(), match.end())
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
                        for part in conditions_of(self.vocabulary.fields[value.field], [value], "")
                    ]
                    self.said.acts.append("criticise")
                text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
        return text

    def _refused_before(self, text: str) -> str:
        """Read refusals that follow what they refuse: "drama is not for me"."""
        for start, end, named in self._around_value(self.words.negation.after, text):
            for value in reversed(self.vocabulary.values_in(text[:start])):  # "musicals and westerns are out"
                if not compiled(alternatives(self.words)).fullmatch(bare(text[value.end : start])):
                    break
                start, named = value.start, [value, *named]
            self._refuse_values(named)
            self.said.acts.append("exclude")
            text = f"{text[:start]}{' ' * (end - start)}{text[end:]}"
        return text

    def _around_value(self, patterns: Sequence[str], text: str) -> Iterator[tuple[int, int, list[Value]]]:
        """Yield where patterns match whose `{x}` is a value of the catalogue, and the values that it may be."""
        for (start, end), named in by_span(self.vocabulary.values_in(text)):
            marked = f"{text[:start]}{VALUE}{text[end:]}"
            for pattern in patterns:
                if match := compiled(word(pattern.replace("{x}", VALUE))).search(marked):
                    yield match.start(), match.end() + (end - start) - len(VALUE), named
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
            names = any_of([re.escape(name) for name in names_of(info)])
            before = any_of(self.words.negation.before)
            match = compiled(
                rf"(?<!\w)(?:{before})\s+(?:that|this|the same|diese[rsn]?|这个|这种)\s*{names}(?!\w)"
            ).search(text)
            if match:
                for one in value if isinstance(value, tuple) else (str(value),):
                    self._refuse_values([Value(info.name, one, match.start(), match.end())])
                self.said.acts.append("exclude")
                text = without(text, match.start(), match.end())
        return text

    def _flags(self, text: str) -> str:
        """Read flags of items: "in stock", "dishwasher safe", "not sponsored"."""
        available = any_of([re.escape(name) for name in concepts()["available"].words])
        if not self.vocabulary.of_concept("available") and (match := compiled(word(available)).search(text)):
            self.said.missing.append("available")
            text = without(text, match.start(), match.end())
        for info in self.vocabulary.fields.values():
            if info.kind != "flag":
                continue
            names = any_of([re.escape(name) for name in names_of(info)])
            before = any_of(self.words.negation.before)
            match = compiled(rf"(?<!\w)(?P<no>{before}\s+)?(?:the )?{word(names)}(?:\s+ones?\b)?").search(text)
            if match:
                self.said.conditions.append(Condition(field=info.name, op="==", value=match["no"] is None))
                text = without(text, match.start(), match.end())
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
            if not match["x"].strip(MARKS) or is_value:  # "not rated" is a value
                continue
            kept = self._refuse(match["x"])
            self.said.acts.append("exclude")
            text = (
                without(text, match.start(), match.end())
                if kept is None
                else f"{text[: match.start()]}{CUT}{kept}{text[match.end() :]}"
            )
        return text

    def _refuse(self, phrase: str) -> str | None:
        """Refuse what a phrase names. Return the rest of the phrase if it is no part of the refusal."""
        parts = re.split(alternatives(self.words), phrase, flags=re.IGNORECASE)
        for number, part in enumerate(parts):
            values = self.vocabulary.values_in(part)
            own = meaningful(part, self.words)
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

    def _meant(self, values: Sequence[Value]) -> list[Value]:
        """Keep the values of one field for each phrase: the field that was asked for, the topics, or the first."""
        asked = self.scene.question.field if self.scene.question else None
        meant: list[Value] = []
        for _, named in by_span(values):
            fields = [value.field for value in named]
            name = asked if asked in fields else "topics" if "topics" in fields else fields[0]
            of_field = [value for value in named if value.field == name]
            if len(of_field) == 1:  # a broad word such as "violent" names several kinds, and asks for none of them
                meant += of_field
        return meant
