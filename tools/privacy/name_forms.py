"""The form of a name: capitals, particles such as "van der", initials. What looks like one may still be none."""

import re

from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text
from whimbrel.tools.privacy.words import first_names, listed, surnames, vocabulary

_ANY = f"{CAPITAL}{LETTER}"
CAPITAL_WORD = (
    rf"(?:[dlDLO]'|(?:[aA]l|[eE]l|[aA]d|[bB]en)-)?[{CAPITAL}][{_ANY}]{{1,24}}"
    rf"(?:['-](?!s\b)[{_ANY}]{{1,24}}){{0,2}}(?![{_ANY}])"
)
"""A word of a name, such as "O'Neill" or "Al-Masri", but not the end of "Anna's"."""
_INITIAL = rf"(?:[{CAPITAL}]\.(?:-?[{CAPITAL}]\.)?|[{CAPITAL}][{LETTER}]?\.?[ªº]\.?|(?:Ma|Fco|Wm|Jos|Chr|Th|Ph)\.)"
"""An abbreviated first name, such as "J.", "J.-P." or "Mª"."""
_PARTICLE = (
    r"(?:van der|van den|van de|van|von der|von und zu|von|zu|de la|de los|de las|de|da|do|dos|das|di|del|della|der|"
    r"den|"
    r"la|le|el|bin|ibn|bint|al|ter|ten|du|des|y|e|St\.|Saint|San|Mac|Mc)"
)
_PARTICLES = frozenset(
    "van der den de von zu la los las da do dos das di del della le el bin ibn bint al ter ten du des y e".split()  # noqa: SIM905
)
_GAP = r"[ ]{1,2}"
_PART = rf"(?:{_INITIAL}|{CAPITAL_WORD})"
_MORE = rf"(?:{_GAP}(?:{_PARTICLE}{_GAP}){{0,2}}{_PART})"
FULL_NAME = rf"{_PART}{_MORE}{{1,3}}"
"""A name of two to four words."""

_NAME = re.compile(rf"{_PART}{_MORE}{{0,3}}")
_SURNAME = re.compile(rf"(?:{_PARTICLE}{_GAP}){{0,2}}{CAPITAL_WORD}{_MORE}{{0,2}}")
_NEXT_WORD = re.compile(rf"{_GAP}(?:{_PARTICLE}{_GAP}){{0,2}}([{_ANY}'-]{{2,40}})(?![{_ANY}])")
_AND = re.compile(r"\s{1,2}(?:y|e|la|le)\s")
SMALL_NAME = re.compile(rf"[{LETTER}]{{2,24}}(?:['-](?!s\b)[{LETTER}]{{1,24}}){{0,2}}(?![{LETTER}])")
"""A word in small letters that may be a name."""
_END = re.compile(r"\s{0,2}(?:[.,;:!?()\n-]|$|[yeioa]\s)")
CALLS = re.compile(
    r"\s{1,2}(?:again|here|speaking|writing|calling|from|encore|à l'appareil|de nuevo|otra vez|di nuovo|ancora|weer|"
    r"nochmal|wieder)\b"
)
"""Who calls or writes once more, after a name: "this is Anna Schmidt again"."""
TOKEN = re.compile(rf"(?<![\w@./])[{_ANY}][{_ANY}'-]{{1,40}}(?![\w@])")
MOST_SMALL_WORDS = 3
"""Words in small letters that are taken for one name: "my name is ana maria lopez"."""

NOT_NAMES = frozenset(listed("no_names"))
TITLES = frozenset(listed("titles"))
NO_START = NOT_NAMES | TITLES
"""Words that begin no name."""
_NO_PART = (NOT_NAMES - _PARTICLES) | TITLES


def person(start: int, end: int) -> Span:
    """Return the place of a name."""
    return Span(start, end, "PERSON")


def capital_name(text: Text, start: int) -> Span | None:
    """Return the name in capitals that begins at a place, without words after it that are no names."""
    match = _NAME.match(text.plain, start)
    if match is None or text.lower[start : match.end()].split()[0].rstrip(".") in NO_START:
        return None
    end = start
    for part in re.finditer(r"\S+", match[0]):
        word = part[0].lower()
        if word in _NO_PART:
            break
        if word not in _PARTICLES:
            end = start + part.end()
    return person(start, end) if end > start else None


def any_name(text: Text, start: int) -> Span | None:
    """Return the name in any case that begins at a place."""
    return capital_name(text, start) or _small_name(text, start)


def _small_name(text: Text, start: int) -> Span | None:
    end, position, words = start, start, 0
    while words < MOST_SMALL_WORDS and (match := SMALL_NAME.match(text.lower, position)):
        position = match.end() + 1
        if words and match[0] in _PARTICLES and SMALL_NAME.match(text.lower, position):
            continue
        if match[0] in NOT_NAMES:
            break
        words, end = words + 1, match.end()
        if not text.lower.startswith(" ", match.end()):
            break
    return person(start, end) if words else None


def small_full_name(text: Text, start: int) -> Span | None:
    """Return the first and family name in small letters that begins at a place: "ana villoria".

    One of the two is frequent. The other need be on no list, but is no word of the lists of words.
    """
    first = SMALL_NAME.match(text.lower, start)
    last = _NEXT_WORD.match(text.lower, first.end()) if first else None
    if first is None or last is None or first[0] in NOT_NAMES:
        return None
    is_last = surnames().get(last[1]) is False
    is_first = first_names().get(first[0]) is False
    is_and = _AND.match(text.lower, first.end())  # "soy ana y busco"
    is_name = last[1] not in vocabulary() and not is_and if is_first and not is_last else first[0] not in vocabulary()
    return person(start, last.end()) if (is_first or is_last) and is_name else None


def full_capital_name(text: Text, start: int) -> Span | None:
    """Return the name of two or more words in capitals that begins at a place. None is a word of the lists of words."""
    span = capital_name(text, start)
    if span is None:
        return None
    words = [word for word in text.lower[start : span.end].split() if word not in _PARTICLES]
    return span if len(words) > 1 and vocabulary().isdisjoint(words) else None


def is_name_end(text: Text, end: int) -> bool:
    """Return whether a name may end at a place: no word follows, or one that is no name."""
    following = SMALL_NAME.match(text.lower, end + 1) if text.lower.startswith(" ", end) else None
    return _END.match(text.lower, end) is not None or (following is not None and following[0] in NOT_NAMES)


def surname(text: Text, start: int) -> Span | None:
    """Return the family name that begins at a place, after a title such as "Mrs": "van der Berg"."""
    match = _SURNAME.match(text.plain, start)
    if match:
        words = match[0].split()
        kept = next((place for place, word in enumerate(words) if word.lower() in _NO_PART), len(words))
        return person(start, start + len(" ".join(words[:kept]).rstrip("."))) if kept else None
    small = SMALL_NAME.match(text.lower, start)
    if small and small[0] not in NOT_NAMES and small[0] in surnames():
        return person(*small.span())
    return None


def with_surname(text: Text, start: int, end: int) -> Span:
    """Return a first name with the family name after it, if that is frequent or if both have a capital."""
    match = _NEXT_WORD.match(text.plain, end)
    if match is None or match[1].endswith("'s"):
        return person(start, end)
    word = match[1].lower()
    both_capital = text.plain[start].isupper() and match[1][0].isupper()
    if (both_capital and word not in NOT_NAMES) or surnames().get(word) is False:
        return person(start, match.end())
    return person(start, end)


def has_no_part(name: str) -> bool:
    """Return whether one of the words of a name is none of a name."""
    return any(word.lower().rstrip(".") in _NO_PART for word in name.split())
