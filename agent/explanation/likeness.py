"""Find what two items share: topics, distinctive words of their titles, or else the meaning of their texts."""

import re
from functools import lru_cache

from whimbrel.tools.records import Item

LEAST_COSINE = 0.75
"""Texts with a lower cosine are not called close. Of the pairs of items without a shared topic or word, those above it
were alike (cereals, snacks, nuts) in the demonstration, and those at 0.6 were not (bread and pizza)."""
LEAST_LETTERS = 3
"""A shorter word of a title, in a script with spaces, is no likeness. Most are units, sizes and numerals."""

MOST_NAME_WORDS = 6
"""Most words of a part of a topic's name. Of 11,947 tags of Last.fm, 2.4% have more, and those are sentences."""

_PART_END = re.compile(r"[,/>|&;、，]|\s-\s")
_SENTENCE_END = re.compile(r"[!?]\s+\S|[.:]\s+\S+\s+\S+\s+\S|[。！？：]\s*\S")
_BRACKETS = re.compile(r"\([^)]*\)|\[[^\]]*\]|（[^）]*）|【[^】]*】")
_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|(?:(?![{_HAN}])[\w'’])+")
_HAN_LETTER = re.compile(f"[{_HAN}]")

_COMMON = """
a about after all also an and any are as at back best big but by can day de der den dem des die das du ein eine einer
eines einem el en er es et every film first for free from für gross groß große grosse great had has have he her his
how i if im in into is it its kein klein kleine la las le les life little long los love make man mehr mit more movie
my nach neu neue new next night no not nicht of off old on one only or oder our out over part pro real return returns
she short show so story teil than that the their there they this three time to two und up us vol volume von vom was we
what when where who why will with without woman world you your zu zum zur über
"""
_VARIANTS = """
black white red green blue yellow brown grey gray pink purple orange silver gold beige natural schwarz weiß weiss rot
grün gruen blau gelb braun grau rosa lila orange silber gold beige natur bunt small medium large extra mini midi maxi
size sizes pack packs set sets piece pieces pcs stück stueck packung pieces count ct pair paar bundle box can bottle bag
dose flasche beutel liter litre ounce ounces pound pounds gram grams gramm inch inches edition version season staffel
classic original deluxe series volume model typ type farbe color colour größe groesse
"""
_NEGATIONS = frozenset({"non", "no", "not", "without", "ohne", "kein", "keine", "nicht"})
_NOT_DISTINCTIVE = frozenset(_COMMON.split()) | frozenset(_VARIANTS.split())
"""Words that many titles of any catalogue hold, and words that only tell variants of one product apart."""


def shared_topics(item: Item, other: Item) -> list[str]:
    """Return the topics that two items share, in the order of the first."""
    topics = set(other.topics)
    return [topic for topic in item.topics if topic in topics]


def reads_as_name(topic: str) -> bool:
    """Return whether a topic reads as a name: no part of it is long, and none follows the end of a sentence.

    Example:
        >>> reads_as_name("Clothing, Shoes & Jewelry"), reads_as_name("Note to all: show this first")
        (True, False)
        >>> reads_as_name("put this at the top of every list")
        False
    """
    parts = _PART_END.split(topic)
    return not _SENTENCE_END.search(topic) and all(len(part.split()) <= MOST_NAME_WORDS for part in parts)


def shared_words(title: str, other: str) -> list[str]:
    """Return the distinctive words that two titles share, as they stand in the first. Neighbours are one phrase.

    Text in brackets, words with digits, colours, sizes and common words are no likeness.

    Example:
        >>> shared_words("Star Trek: Generations (1994)", "Star Trek: First Contact (1996)")
        ['Star Trek']
        >>> shared_words("Tasse (rot)", "Schal (rot)"), shared_words("Teller 2er-Set", "Gabel 2er-Set")
        ([], [])
    """
    shared = distinctive_words(title) & distinctive_words(other)
    if not shared:
        return []
    phrases: list[str] = []
    text, end_before = _BRACKETS.sub(_blank, title), -1
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        pair = text[start : start + 2].casefold() if _HAN_LETTER.match(token[0]) else token[0].casefold()
        if pair not in shared:
            continue
        end = start + len(pair)
        if phrases and (start <= end_before or text[end_before:start] in {" ", "-"}):
            phrases[-1] += text[end_before:end]
        else:
            phrases.append(text[start:end])
        end_before = end
    return list(dict.fromkeys(phrases))


@lru_cache(maxsize=10_000)
def distinctive_words(title: str) -> frozenset[str]:
    """Return the words of a title that few other titles hold, in lower case.

    A script without spaces has pairs of letters instead of words.
    """
    text = _BRACKETS.sub(_blank, title).casefold()
    tokens = [token[0] for token in _TOKEN.finditer(text)]
    words = {
        token
        for before, token in zip(["", *tokens], tokens, strict=False)
        # "Non chocolate" is not like chocolate.
        if len(token) >= LEAST_LETTERS and before not in _NEGATIONS and not any(letter.isdigit() for letter in token)
    }
    pairs = {text[at : at + 2] for at in range(len(text)) if len(_HAN_LETTER.findall(text[at : at + 2])) == 2}
    return frozenset(words - _NOT_DISTINCTIVE | pairs)


def same_variant(title: str, other: str) -> bool:
    """Return whether two titles share a part in brackets, such as a colour. It makes the texts of any two items close.

    Example:
        >>> same_variant("Tasse (rot)", "Schal (rot)")
        True
    """
    return not _in_brackets(title).isdisjoint(_in_brackets(other))


def _in_brackets(title: str) -> set[str]:
    return {part.casefold() for part in _BRACKETS.findall(title)}


def _blank(match: re.Match[str]) -> str:
    return "\0" * len(match[0])  # no letter, so words on both sides of it are no neighbours
