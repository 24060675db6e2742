"""Write a line as the rules expect it: short forms in full, and slips of the keyboard mended."""

import re
from difflib import get_close_matches
from functools import cache

from whimbrel.agent.chat.lexicon import TALKED, compiled, concepts, lexicon, meanings, word
from whimbrel.agent.chat.vocabulary import Vocabulary

SHORTEST_MENDED = 5
"""Shorter words have too many neighbours to say which one was meant."""
MOST_MENDED = 40
"""Words of a line that are looked at. A line of more is no wish."""
LIKENESS = 0.8
"""How like its correction an English word must be, as `difflib` measures it. One slip in five letters is .8."""
LIKENESS_UNSURE = 0.9
"""The same for rare names and for other languages, whose words the tokenizer does not know."""
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_HOURS = re.compile(r"(?<![\w.,])(\d{1,2})\s?h\s?(\d{1,2})(?:\s?m(?:in)?)?(?!\w)", re.IGNORECASE)
_DIGITS = {
    name: digit
    for names in (
        "zero one two three four five six seven eight nine",
        "null eins zwei drei vier fünf sechs sieben acht neun",
    )
    for digit, name in enumerate(names.split())
}
_POINT = re.compile(rf"\b({'|'.join(_DIGITS)}) (?:point|komma) ({'|'.join(_DIGITS)})\b", re.IGNORECASE)


def spelled(line: str, language: str, vocabulary: Vocabulary) -> str:
    """Return a line with short forms in full ("dont", "2h10") and misspelt words of the catalogue mended.

    A word is mended if neither the catalogue nor the rules have it, and a name of the catalogue is close.

    Example:
        "dont want horor, 2h10 tops" becomes "don't want horror, 2 h 10 min tops" in a catalogue of films.
    """
    short = lexicon(language).spelling
    line = compiled(word(_short_forms(language))).sub(lambda match: short[match.group().casefold()], line)
    line = _POINT.sub(lambda match: f"{_DIGITS[match[1].casefold()]}.{_DIGITS[match[2].casefold()]}", line)
    line = _HOURS.sub(r"\1 h \2 min", line)
    return _WORD.sub(lambda match: _mended(match.group(), language, vocabulary), line, count=MOST_MENDED)


@cache
def _short_forms(language: str) -> str:
    return "|".join(map(re.escape, sorted(lexicon(language).spelling, key=len, reverse=True))) or "(?!)"


def _mended(token: str, language: str, vocabulary: Vocabulary) -> str:
    plain = token.casefold()
    if plain.isascii() and plain.isalpha() and plain not in vocabulary.words and pieces(plain) > 1:
        swapped = {f"{plain[:n]}{plain[n + 1]}{plain[n]}{plain[n + 2 :]}" for n in range(len(plain) - 1)}
        meant = swapped & _words_of(language)
        if len(meant) == 1 and plain not in _words_of(language):  # "frist", "waht"
            return meant.pop()
    if len(token) < SHORTEST_MENDED or "'" in token or not token.isascii() or plain in vocabulary.words:
        return token
    known = vocabulary.names | _asked_words()
    if plain in known or plain in _words_of(language):
        return token
    is_sure = language == "en" and pieces(plain) > 1
    known, cutoff = (known, LIKENESS) if is_sure else (vocabulary.names, LIKENESS_UNSURE)
    near = [name for name in known if name[0] == plain[0] and abs(len(name) - len(plain)) <= 2]
    close = get_close_matches(plain, near, n=1, cutoff=cutoff)
    return close[0] if close else token


@cache
def _asked_words() -> frozenset[str]:
    """Return the words by which people ask for items, in all languages."""
    named = [name for concept in concepts().values() for name in concept.words]
    units = [unit for language in TALKED for unit in lexicon(language).units]
    return frozenset(name.casefold() for name in [*meanings(), *named, *units] if name.isalpha() and name.isascii())


@cache
def _words_of(language: str) -> frozenset[str]:
    """Return the words that the patterns of a language are made of."""
    return frozenset(re.findall(r"[^\W\d_]+", lexicon(language).model_dump_json().casefold()))


@cache
def pieces(token: str) -> int:
    """Return into how many pieces the text encoder's tokenizer splits a word: rare words into some, noise into many."""
    from whimbrel.tools.text.minilm import word_pieces

    return len(word_pieces(token))
