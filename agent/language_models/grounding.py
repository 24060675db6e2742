"""Whether a sentence of a model says only what it was given, as far as this can be told without understanding it.

The test is a closed vocabulary: a sentence may use the words of the texts that it was given and the connecting words of
its language, none of which says anything of the world (no negation, no praise, no cause).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

REPEATED = 3
"""Words in a row that a sentence may not say twice."""

_RUN = re.compile(r"\w+")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HOLDS_HAN = re.compile(f"[{_HAN}]")
_SPELT = re.compile(rf"[^\W{_HAN}]{{2}}")


def words_of(text: str, known: Collection[str] = frozenset()) -> list[str]:
    """Words of a text, in lower case.

    Chinese sets no spaces between them: there a run of letters that is not itself known is cut into the longest `known`
    words from left to right, and what lies between those counts as one word.
    """
    longest = max(map(len, known), default=0)
    words: list[str] = []
    for run in _RUN.findall(text.casefold()):
        cut = run not in known and _HOLDS_HAN.search(run)
        words += _pieces(run, known, longest) if cut else [run]
    return words


def _pieces(run: str, known: Collection[str], longest: int) -> Iterator[str]:
    begin = place = 0
    while place < len(run):
        ends = range(min(len(run), place + longest), place, -1)
        end = next((end for end in ends if run[place:end] in known and _whole(run, place, end)), None)
        if end is None:
            place += 1
            continue
        if begin < place:
            yield run[begin:place]
        yield run[place:end]
        begin = place = end
    if begin < place:
        yield run[begin:place]


def _whole(run: str, place: int, end: int) -> bool:
    """Whether a cut at both places leaves figures and words of other scripts whole: `5` is no part of `15`."""
    return not any(cut > 0 and _SPELT.fullmatch(run[cut - 1 : cut + 1]) for cut in (place, end))


def prose_problem(sentence: str, given: Iterable[str], *, connecting: Collection[str], marks: str = "") -> str:
    """Why a sentence is not to be shown; empty where it is fine: whole, plain, without repetition, and of words that
    are connecting or occur in the texts `given`; likewise of signs, where `marks` names those that may be used."""
    given = list(given)
    if not re.search(r"[.!?。！？]$", sentence.strip()):
        return "is no whole sentence"
    if re.search(r"https?:|www\.|[<>{}\[\]`|*#]", sentence):
        return "is no plain sentence"
    if not sentence.isprintable():
        return "holds control characters"
    known = frozenset(connecting).union(*map(words_of, given))
    words = words_of(sentence, known)
    runs = [tuple(words[n : n + REPEATED]) for n in range(len(words) - REPEATED + 1)]
    if len(set(runs)) < len(runs):
        return "repeats itself"
    unsupported = next((word for word in words if word not in known), None)
    if unsupported is not None:
        kind = "a figure" if any(c.isdigit() for c in unsupported) else "a word"
        return f"brings in {kind} that it was not given"
    if marks and set(_RUN.sub("", sentence)).difference(marks, *given):
        return "brings in a sign that it was not given"
    return ""


def unclosed(sentence: str, quotes: Sequence[str]) -> bool:
    """Whether a quotation mark stands without its partner; `quotes` are pairs, as `“”`."""
    return any("".join(mark for mark in sentence if mark in pair).replace(pair, "") for pair in quotes)
