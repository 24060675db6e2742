"""Check that a model's sentence uses only words from the texts that the model was given.

The vocabulary is closed. A sentence may use the words of those texts and the connecting words of its language. The
connecting words state nothing about the world: none of them is a negation, a word of praise or a cause.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

REPEATED_WORDS = 3
"""A sentence may not contain the same run of this many words twice."""

_RUN = re.compile(r"\w+")
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HOLDS_HAN = re.compile(f"[{HAN}]")
_TWO_SPELT = re.compile(rf"[^\W{HAN}]{{2}}")  # two letters or digits that are not Chinese


def words_of(text: str, known: Collection[str] = frozenset()) -> list[str]:
    """Return the words of a text, in lower case.

    Chinese has no spaces between words. A run of letters that contains Chinese is therefore cut, unless the whole run
    is a known word. It is cut from left to right into the longest `known` words. The letters between two known words
    count as one word.

    Example:
        >>> words_of("Green tea, 12 oz")
        ['green', 'tea', '12', 'oz']
        >>> words_of("最近绿茶", {"最近"})
        ['最近', '绿茶']
    """
    longest = max(map(len, known), default=0)  # longer pieces are not looked up
    words: list[str] = []
    for run in _RUN.findall(text.casefold()):
        is_cut = run not in known and _HOLDS_HAN.search(run)
        words += _cut(run, known, longest) if is_cut else [run]
    return words


def _cut(run: str, known: Collection[str], longest: int) -> Iterator[str]:
    unknown_from = position = 0
    while position < len(run):
        ends = range(min(len(run), position + longest), position, -1)
        end = next((end for end in ends if run[position:end] in known and _is_whole(run, position, end)), None)
        if end is None:
            position += 1
            continue
        if unknown_from < position:
            yield run[unknown_from:position]
        yield run[position:end]
        unknown_from = position = end
    if unknown_from < position:
        yield run[unknown_from:position]


def _is_whole(run: str, start: int, end: int) -> bool:
    """Return whether neither cut splits a number or a word in another script, as `15` into `1` and `5`."""
    return not any(cut > 0 and _TWO_SPELT.fullmatch(run[cut - 1 : cut + 1]) for cut in (start, end))


def prose_problem(sentence: str, given: Iterable[str], *, connecting: Collection[str], marks: str = "") -> str:
    """Return why a sentence must not be shown, or an empty text if it may be shown.

    Args:
        sentence: What the model wrote.
        given: The texts whose words the sentence may use.
        connecting: Other words that the sentence may use, in lower case.
        marks: Characters that are neither letters nor digits. The sentence may use them and those in `given`. If
            empty, it may use any.

    Returns:
        A message without its subject, which is the sentence: "repeats itself".
    """
    given = list(given)
    if not re.search(r"[.!?。！？]$", sentence.strip()):
        return "is not a whole sentence"
    if re.search(r"https?:|www\.|[<>{}\[\]`|*#]", sentence):
        return "is not plain text"
    if not sentence.isprintable():
        return "contains control characters"
    known = frozenset(connecting).union(*map(words_of, given))
    words = words_of(sentence, known)
    runs = [tuple(words[n : n + REPEATED_WORDS]) for n in range(len(words) - REPEATED_WORDS + 1)]
    if len(set(runs)) < len(runs):
        return "repeats itself"
    unsupported = next((word for word in words if word not in known), None)
    if unsupported is not None:
        kind = "a number" if any(c.isdigit() for c in unsupported) else "a word"
        return f"uses {kind} that the model was not given"
    if marks and set(_RUN.sub("", sentence)).difference(marks, *given):
        return "uses a character that the model was not given"
    return ""


def has_unclosed_quote(sentence: str, quotes: Sequence[str]) -> bool:
    """Return whether a quotation mark lacks its partner.

    Args:
        sentence: The sentence.
        quotes: Pairs of an opening mark and a closing mark.

    Example:
        >>> has_unclosed_quote("Lately “tea.", ["“”"])
        True
    """
    return any("".join(mark for mark in sentence if mark in pair).replace(pair, "") for pair in quotes)
