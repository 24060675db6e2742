"""Streets of more countries: Poland, the North, and those whose number stands in another place in their language.

A French street has its number last in Belgium and Luxembourg. A Colombian one is numbered itself: "Calle 10 # 5-30".
"""

import re
from collections.abc import Iterator

from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text

_WORD = r"[^\W\d_][\w'.-]{0,30}"
_TOWN = rf"{_WORD}(?:[ -](?:de|sur|le|la|del|ville)(?:[ -]{_WORD})?)?"
_BELGIAN = re.compile(
    r"(?<![\w-])(?:rue|avenue|av\.|boulevard|bd|chemin|chaussée|quai|allée|impasse|place|cours|route|square|clos|"
    r"drève|montée|venelle|sentier)\s{1,2}"
    rf"(?:{_WORD}\s{{1,2}}){{0,5}}?(?:{_WORD}),?\s{{1,2}}(?:n°\s?)?\d{{1,4}}\s?(?:[a-d]\b|bis)?"
    r"(?:,?\s{0,2}(?:bte|boîte|bus|/)\s?\w{1,4})?(?:,\s{0,2}|\s{1,2}|\s-\s)"
    rf"(?:(?:b-|l-|ch-)?\d{{4,5}}(?:\s{{1,2}}{_TOWN})?(?!\w)|(?:à|in)\s{_TOWN})"
)
_COLOMBIAN = re.compile(
    r"(?<![\w-])(?:calle|carrera|cra|cr|cll|cl|kra|kr|avenida|av|ak|ac|diagonal|dg|transversal|tv|circular)\.?\s{1,2}"
    r"\d{1,3}\s?[a-z]{0,2}(?:\s(?:bis|sur|norte|este|oeste))?,?\s{0,2}(?:#|no\.?|n[º°.]\.?|nro\.?|núm\.?|número)\s{0,2}"
    r"\d{1,3}\s?(?:[a-z]{1,2}\b)?(?:\s(?:bis|sur|norte|este))?\s{0,2}-\s{0,2}\d{1,3}(?!\d)"
    r"(?:,?\s{1,2}(?:apto\.?|apartamento|casa|torre|int\.?|interior|piso|oficina|of\.?|local|bloque)\s?\w{1,5}){0,3}"
)
_CAP = rf"[{CAPITAL}][\w'.-]{{1,30}}"
_FLAT = r"(?:\s?[a-h]\b)?(?:\s?/\s?\d{1,4}|\s?m\.?\s?\d{1,4})?"
_POLISH = re.compile(
    rf"(?<![\w.])(?i:(?:ul|al|pl|os)\.\s{{0,2}}|(?:ulica|ulicy|aleja|alei|aleje|plac|placu|osiedle|osiedlu)\s{{1,2}})"
    rf"(?:\d{{1,2}}\s)?(?:{_WORD}\s{{1,2}}){{0,4}}?{_WORD}\s{{1,2}}\d{{1,4}}{_FLAT}(?![\w%])"
    rf"(?:,?\s{{1,2}}\d{{2}}-\d{{3}}(?:\s{{1,2}}{_CAP}(?:[ -]{_CAP})?)?)?"
)
_POLISH_TOWN = re.compile(rf"(?<![\w-])\d{{2}}-\d{{3}}\s{{1,2}}[{CAPITAL}][{LETTER}]{{2,20}}(?![\w-])")
_NORTH_ENDS = (
    "gatan|gata|vägen|väg|gränd|torget|stigen|backen|plan|gate|gaten|veien|vei|vegen|allé|alléen|vej|gade|plads|torv|"
    "stræde|katu|tie|kuja|polku|tori"
)
"""Ends of the names of streets in Swedish, Norwegian, Danish and Finnish."""
_NORTHERN = re.compile(
    rf"(?<![\w-])(?:{_CAP}\s{{1,2}}){{0,2}}[{CAPITAL}{LETTER}]{{2,25}}(?i:{_NORTH_ENDS})\s{{1,2}}\d{{1,4}}(?i:\s?[a-h]\b)?"
    r"(?i:,?\s(?:lgh\s?\d{1,4}|\d{1,2}\s?tr\b|\d{1,2}\.?\s(?:sal\s)?(?:tv|th|mf)\b|[a-h]\s\d{1,3}\b))?"
    rf"(?:,\s{{0,2}}|\s{{1,2}})(?i:(?:s|n|dk|fi|se|no)-)?\d{{3}}\s?\d{{1,2}}\s{{1,2}}{_CAP}(?![\w-])"
)
"""A postcode and a town must follow, since "bokstav 12" has such an end too."""
_AND_TOWN = re.compile(rf",\s{{1,2}}[{CAPITAL}][{LETTER}.]{{1,30}}(?:\s[{CAPITAL}][{LETTER}.]{{1,30}}){{0,2}}(?!\w)")


def other_streets(text: Text) -> Iterator[Span]:
    """Find Belgian and northern streets with a town after them, and Polish and Colombian ones."""
    if not any(map(str.isdigit, text.plain)):
        return
    for pattern, words in (
        (_BELGIAN, text.lower),
        (_POLISH, text.plain),
        (_POLISH_TOWN, text.plain),
        (_NORTHERN, text.plain),
    ):
        yield from (Span(*match.span(), "ADDRESS") for match in pattern.finditer(words))
    for match in _COLOMBIAN.finditer(text.lower):
        town = _AND_TOWN.match(text.plain, match.end())
        yield Span(match.start(), town.end() if town else match.end(), "ADDRESS")
