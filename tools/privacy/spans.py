"""A text that is searched, and the pieces of personal data that are found in it."""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

KINDS = (
    "EMAIL",
    "PHONE",
    "IBAN",
    "CARD",
    "ADDRESS",
    "PERSON",
    "NUMBER",
    "NETWORK",
    "HANDLE",
    "LINK",
    "SECRET",
    "BIRTHDAY",
)
"""The kinds of personal data. Each has placeholders of its own."""

# Full-width forms, other spaces, apostrophes, quotes and dashes. Each becomes one character, so that places stay.
_PLAIN = (
    {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f\u3000"), " ")
    | dict.fromkeys(map(ord, "’‘ʼ′`´"), "'")
    | dict.fromkeys(map(ord, "“”„«»"), '"')
    | dict.fromkeys(map(ord, "‐‑‒–−"), "-")
)


LETTER = "a-zß-öø-ÿāăąćčďđēęěğīıłńňőœřśşšťūůűźżžșț"
"""Small Latin letters, for a class of a pattern. A boundary is one of Latin words: Chinese text has no spaces."""
CAPITAL = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĘĚĞĪİŁŃŇŐŒŘŚŞŠŤŪŮŰŹŻŽȘȚ"
"""Latin capitals, for a class of a pattern."""
_WORD = re.compile(rf"[{LETTER}]+")


class Span(NamedTuple):
    """A piece of personal data in a text."""

    start: int
    end: int
    kind: str


class Text(NamedTuple):
    """A text in forms that are as long as it is, so that a place in one is a place in all."""

    plain: str
    """With the full-width characters, spaces, quotes and dashes of ASCII."""
    lower: str
    words: frozenset[str]
    """Its Latin words in lower case."""


Finder = Callable[[Text], Iterable[Span]]


def as_text(words: str) -> Text:
    """Return a text in the forms that finders read."""
    plain = words if words.isascii() else words.translate(_PLAIN)
    lower = plain.lower()
    if len(lower) != len(plain):  # such as "İ", which becomes two characters
        lower = "".join(small if len(small := letter.lower()) == 1 else letter for letter in plain)
    return Text(plain, lower, frozenset(_WORD.findall(lower)))


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, with those that overlap made one. Its kind is that of the span given first."""
    whole: list[tuple[Span, int]] = []
    for rank, span in sorted(enumerate(spans), key=lambda ranked: (ranked[1].start, ranked[0])):
        if not whole or span.start >= whole[-1][0].end:
            whole.append((span, rank))
            continue
        last, best = whole[-1]
        kind = last.kind if best < rank else span.kind
        whole[-1] = (Span(last.start, max(last.end, span.end), kind), min(best, rank))
    return [span for span, _ in whole]
