"""Streets whose number stands in another place than elsewhere in their language: Belgium, Luxembourg, Colombia.

A French street has its number last there, and a Colombian one is numbered itself: "Calle 10 # 5-30".
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
_AND_TOWN = re.compile(rf",\s{{1,2}}[{CAPITAL}][{LETTER}.]{{1,30}}(?:\s[{CAPITAL}][{LETTER}.]{{1,30}}){{0,2}}(?!\w)")


def other_streets(text: Text) -> Iterator[Span]:
    """Find Belgian streets with a town after them, and Colombian ones."""
    if not any(map(str.isdigit, text.plain)):
        return
    for match in _BELGIAN.finditer(text.lower):
        yield Span(*match.span(), "ADDRESS")
    for match in _COLOMBIAN.finditer(text.lower):
        town = _AND_TOWN.match(text.plain, match.end())
        yield Span(match.start(), town.end() if town else match.end(), "ADDRESS")
