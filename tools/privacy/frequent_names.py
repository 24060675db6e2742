"""Names that are found since many people have them. Many are an author's or a brand's too: the words around decide."""

import re
from collections.abc import Iterator

from whimbrel.tools.privacy.name_forms import (
    FULL_NAME,
    NO_START,
    NOT_NAMES,
    TOKEN,
    capital_name,
    person,
    with_surname,
)
from whimbrel.tools.privacy.public import has_public_words
from whimbrel.tools.privacy.spans import LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of, first_names, surnames

_FULL = re.compile(rf"(?<![\w'@./-]){FULL_NAME}(?!\w)")
_SMALL_WORD = re.compile(rf"(?<![\w@./'-])[{LETTER}]{{2,24}}(?![\w@/'-])")
_TO_OR_FROM = Cues(
    rf"{any_of('to_or_from')}(?:\s(?:my|our|die|den|der|dem|la|el|le|little|de)\b)?\s{{1,2}}", "to_or_from"
)
_RELATIVE = Cues(rf"{any_of('relatives')}\s{{1,2}}", "relatives")
_WEAK = frozenset(
    ("a", "de", "e", "y", "et", "à", "que", "da", "en", "und", "and", "von", "zu", "dass", "con", "with", "mit", "avec")
)
"""Words before a name that stand before much else. The name must have a capital and be no everyday word."""
_TO = re.compile(r"(?<![a-z])(?:for|from|to|dear|für|von|an|pour|para|voor|per|with|mit|chez|is|hi|hello)\s{1,2}$")
_DOES = Cues(
    rf"(?:\s{{1,2}}(?:also|really|still|just|always|auch|immer|siempre|también|y)\b)?\s{{1,2}}{any_of('does')}"
    rf"|,\s(?:my|meine?|mon|ma|mi|mia|mijn)\s{any_of('kin')}|\s\((?:my|meine?|mon|ma|mi|\d)"
    r"|\s(?:ist|is|wird|a|tiene|turns|cumple)\s\d{1,2}\b"
    r"|'s\s(?:\d{1,2}(?:st|nd|rd|th)\s)?(?:birthday|wedding|house|place|party|address|phone)",
    "does",
    "kin",
)


def addressed(text: Text) -> Iterator[Span]:
    """Find frequent first names after "for", "dear", "uncle" and such: "a mug for anna"."""
    for cue in (*_TO_OR_FROM.finditer(text), *_RELATIVE.finditer(text)):
        match = TOKEN.match(text.plain, cue.end())
        if match is None:
            continue
        word = _without_s(match[0])
        is_everyday = _is_everyday(word)
        has_capital = match[0][0].isupper()
        is_weak = cue[0].split()[0] in _WEAK and (is_everyday or not has_capital)
        if is_everyday is not None and (has_capital or not is_everyday) and not is_weak:
            yield with_surname(text, match.start(), match.start() + len(word))


def _without_s(word: str) -> str:
    return word.lower().removesuffix("'s")


def _is_everyday(word: str) -> bool | None:
    """Return whether a first name is an everyday word too, None if it is no frequent name: "jean-luc" is one."""
    names = first_names()
    return names.get(word, names.get(word.split("-")[0]) if "-" in word else None)


def in_full(text: Text) -> Iterator[Span]:
    """Find frequent first names with any family name, and after "for" any first name with a frequent family name."""
    if text.plain != text.lower:
        for match in _FULL.finditer(text.plain):
            yield from _part_in_full(text, match)
    yield from _small_in_full(text)


def _part_in_full(text: Text, match: re.Match[str]) -> Iterator[Span]:
    """Find the name in some words with capitals. It may begin later: "Dear Anna Schmidt"."""
    words = [word.span() for word in re.finditer(r"\S+", match[0])]
    last = match[0].lower().split()[-1]
    for place, (start, end) in enumerate(words[:-1]):
        first = match[0][start:end].lower()
        if first in NO_START and first not in first_names():
            continue
        is_everyday = _is_everyday(first)
        is_known = is_everyday is False or (is_everyday and last in surnames())
        if not is_known and place + 2 >= len(words) and surnames().get(last) is False:
            begin = match.start() + start
            is_known = first not in NOT_NAMES and _TO.search(text.lower[max(begin - 10, 0) : begin]) is not None
        if is_known:
            span = capital_name(text, match.start() + start)
            # Of "by Chimamanda Ngozi Adichie", the middle may be the first that is frequent.
            is_public = span and place and has_public_words(text, person(match.start(), span.end))
            if span and not is_public and " " in text.plain[span.start : span.end]:
                yield span
            return


def _small_in_full(text: Text) -> Iterator[Span]:
    """Find a frequent first name with a frequent family name after it, both in small letters."""
    end, last = -1, ""
    for match in _SMALL_WORD.finditer(text.plain):
        is_next = match.start() == end + 1
        if is_next and first_names().get(last) is False and surnames().get(match[0]) is False:
            yield person(end - len(last), match.end())
        end, last = match.end(), match[0]


def doing(text: Text) -> Iterator[Span]:
    """Find frequent first names before what a person does: "Lena wants a bike"."""
    for match in TOKEN.finditer(text.plain):
        if match[0][0].isupper():
            word = _without_s(match[0])
            end = match.start() + len(word)
            if first_names().get(word) is False and _DOES.pattern.match(text.lower, end):
                yield person(match.start(), end)
