"""Find personal data in a text: ways to reach a person, numbers of accounts, and names of people.

The patterns find what has a form of its own. Names of people have none: they are found by a first name that many people
have, or by the words before them. If Presidio and a model of spaCy are installed, they find more names
(see `presidio`).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

from whimbrel.tools.privacy.presidio import presidio_spans

REGIONS = ("US", "GB", "DE", "FR", "CN", "IN")
"""The countries whose phone numbers are found without their country code."""
LEAST_PHONE_DIGITS = 7


class Span(NamedTuple):
    """A piece of personal data in a text."""

    start: int
    end: int
    kind: str


Finder = Callable[[str], Iterator[Span]]

_NAME = r"[A-ZÀ-ÖØ-ÞŒŠŽ][a-zà-öø-ÿœšž]+(?:['’-][A-ZÀ-ÖØ-Þ]?[a-zà-öø-ÿœšž]+)?"
_SURNAMES = rf"(?:\s+(?:(?:van|von|de|da|di|del|der|den|la|le|el|bin|al|zu)\s+)*{_NAME})"
_EMAIL = re.compile(r"[\w.+%-]{1,64}@(?:[\w-]{1,63}\.)+[a-z]{2,24}\b", re.IGNORECASE)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){3,8}\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\d.])(?:\d[ -]?){12,18}\d(?![\d.])")
_PHONE = re.compile(r"(?<![\w.])(?:\+|00|\(|\b)[\d(][\d\s()./–-]{5,22}\d\b")
_ADDRESS = re.compile(
    r"\b\d{1,5}\s?[a-zA-Z]?,?\s+(?:[A-Z][\w'’.-]*\s+){1,4}"
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Square|Sq|Way|Place|Terrace|Crescent|"
    r"Close|Highway|Hwy|Parkway)\b\.?(?:,?\s+(?:Apt|Apartment|Suite|Unit|Flat|#)\.?\s*\w+)?"
    r"(?:,\s*[A-Z][a-zA-Z.'’-]+(?:\s[A-Z][a-z.'’-]+){0,2})?(?:,?\s*[A-Z]{2}\s+\d{5}(?:-\d{4})?|,?\s+[A-Z]{1,2}\d[\dA-Z]?\s*\d[A-Z]{2})?"
    r"|\b(?:(?:Am|An der|An den|Auf der|Auf dem|Im|In der|Zum|Zur|Alte|Neue|Große|Kleine)\s+)?[A-ZÄÖÜ][\wäöüß-]*"
    r"(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|damm|ufer|steig|chaussee)\s+\d{1,4}\s?[a-z]?\b"
    r"(?:,?\s*\d{5}\s+[A-ZÄÖÜ][\wäöüß-]+)?"
    r"|\b[A-ZÄÖÜ][\wäöüß-]*\s(?:Straße|Strasse|Str\.|Weg|Platz|Allee|Ring|Damm|Ufer)\s+\d{1,4}\s?[a-z]?\b"
    r"(?:,?\s*\d{5}\s+[A-ZÄÖÜ][\wäöüß-]+)?"
    r"|\b\d{1,4}(?:\s?bis)?,?\s+(?:rue|avenue|boulevard|place|chemin|quai|allée)\s+(?:(?:de|du|des|la|le|les)\s+|[dl]['’])*"
    r"[A-ZÀ-Ý][\wà-ÿ'’-]*(?:\s[A-ZÀ-Ý][\wà-ÿ'’-]*)*(?:,?\s*\d{5}\s+[A-ZÀ-Ý][\wà-ÿ-]+)?"
    r"|\S{2,8}[路街道巷]\s?\d+\s?号(?:\s?\d+\s?[室楼])?"
)
_SECURITY_NUMBER = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
_NUMBER_OF_ACCOUNT = re.compile(
    r"\b(?:customer|client|order|account|member(?:ship)?|passport|licen[cs]e|policy|user|patient|insurance|tax|"
    r"kunden|bestell|konto|ausweis|mitglieds|steuer)[\s-]*(?:numbers?|nummer|no\.?|nr\.?|ids?|identifier|#)\s*(?:is|ist|:|=|#)?\s*"
    r"([A-Za-z]{0,4}[-\s]?\d[\w/-]{3,24})",
    re.IGNORECASE,
)
_NETWORK = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
# A name after words that introduce one. The words have any case. The name begins with capitals, or is in `first_names`.
_INTRODUCED = re.compile(
    r"(?i:\b(?:my name is|my name's|i am called|this is for|on behalf of|ich heiße|mein name ist|je m'appelle|me llamo|"
    r"(?:my|our|his|her|mein|meine|meinen|meiner|unser|unsere)\s+(?:wife|husband|son|daughter|child|mother|mom|mum|father|"
    r"dad|brother|sister|friend|boyfriend|girlfriend|partner|uncle|aunt|nephew|niece|cousin|grandma|grandmother|grandpa|"
    r"grandfather|boss|neighbou?r|colleague|teacher|frau|mann|sohn|tochter|mutter|vater|bruder|schwester|freund|freundin|"
    r"oma|opa|tante|onkel|neffe|nichte|chef|chefin|kollege|kollegin)(?:'s name is| called| named|,)?)\s+)"
    rf"(?:({_NAME}{_SURNAMES}{{0,3}})|([a-zà-öø-ÿ]+))"
)
_TITLED = re.compile(
    rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Prof|Herr|Herrn|Frau|Monsieur|Madame|Señora?)\.?\s+({_NAME}{_SURNAMES}{{0,2}})"
)
_NAMED = re.compile(rf"\b({_NAME}){_SURNAMES}{{1,3}}")
_ADDRESSED = re.compile(
    r"\b(?:for|from|with|to|by|and|dear|hi|hello|für|von|mit|an|und|liebe|lieber|pour|avec)\s+([^\W\d_]+)\b",
    re.IGNORECASE,
)
_SIGN_OFF = re.compile(rf"^\s*({_NAME})\s*(?:here|speaking)\b")
_CHINESE_NAME = re.compile(r"(?:我叫|我是|名叫|名字叫|名字是)([\u4e00-\u9fff]{2,4})(?=[，。,.!！\s]|$)")


def personal_data(text: str, *, is_public: Callable[[str], bool] = lambda words: False) -> list[Span]:
    """Return the personal data of a text in order. No two pieces overlap.

    Args:
        text: The text.
        is_public: Returns whether a name or an address is public, such as that of a film. It is then left out.

    Example:
        >>> text = "a mug for Anna Schmidt, anna@example.org"
        >>> [(span.kind, text[span.start : span.end]) for span in personal_data(text)]
        [('PERSON', 'Anna Schmidt'), ('EMAIL', 'anna@example.org')]
    """
    spans: list[Span] = []
    for finder in FINDERS:
        for span in finder(text):
            is_free = all(span.end <= other.start or span.start >= other.end for other in spans)
            may_be_public = span.kind in ("PERSON", "ADDRESS")
            if is_free and not (may_be_public and is_public(text[span.start : span.end])):
                spans.append(span)
    return sorted(spans)


def _emails(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (Span(*match.span(), "EMAIL") for match in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        # The pattern may have taken a word that follows, so shorter texts are tried too.
        parts = list(re.finditer(r"[A-Za-z0-9]+", match[0]))
        for last in reversed(parts):
            if _is_iban(re.sub(r"[ -]", "", match[0][: last.end()])):
                yield Span(match.start(), match.start() + last.end(), "IBAN")
                break


def _is_iban(text: str) -> bool:
    """Return whether a text has the checksum of an IBAN (ISO 13616)."""
    if not 15 <= len(text) <= 34:
        return False
    rotated = text[4:] + text[:4]
    return int("".join(str(int(c, 36)) for c in rotated)) % 97 == 1


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        if _has_luhn_checksum(re.sub(r"\D", "", match[0])):
            yield Span(*match.span(), "CARD")


def _has_luhn_checksum(digits: str) -> bool:
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0 and len(set(digits)) > 1


def _phones(text: str) -> Iterator[Span]:
    if not any(sum(map(str.isdigit, match[0])) >= LEAST_PHONE_DIGITS for match in _PHONE.finditer(text)):
        return
    from phonenumbers import Leniency, PhoneNumberMatcher

    for region in REGIONS:
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            if sum(map(str.isdigit, match.raw_string)) >= LEAST_PHONE_DIGITS:
                yield Span(match.start, match.end, "PHONE")


def _patterns(text: str) -> Iterator[Span]:
    for pattern, kind in ((_ADDRESS, "ADDRESS"), (_SECURITY_NUMBER, "NUMBER"), (_NETWORK, "NETWORK")):
        yield from (Span(*match.span(), kind) for match in pattern.finditer(text))
    yield from (Span(*match.span(1), "NUMBER") for match in _NUMBER_OF_ACCOUNT.finditer(text))


def _names(text: str) -> Iterator[Span]:
    for pattern in (_TITLED, _CHINESE_NAME):
        yield from (Span(*match.span(1), "PERSON") for match in pattern.finditer(text))
    for match in _INTRODUCED.finditer(text):
        if match[1] or match[2] in first_names():
            yield Span(*match.span(match.lastindex or 1), "PERSON")
    for match in _NAMED.finditer(text):
        # The name may begin later: "Dear Anna Schmidt".
        for start in (found.start() for found in re.finditer(_NAME, match[0])):
            first, *rest = match[0][start:].split()
            if first.casefold() in first_names() and rest:
                yield Span(match.start() + start, match.end(), "PERSON")
                break
    for pattern in (_ADDRESSED, _SIGN_OFF):
        for match in pattern.finditer(text):
            word = match[1].casefold()
            if word in first_names() and (match[1][0].isupper() or not first_names()[word]):
                yield Span(*match.span(1), "PERSON")


def _by_presidio(text: str) -> Iterator[Span]:
    yield from (Span(*span) for span in presidio_spans(text))


FINDERS: tuple[Finder, ...] = (_emails, _ibans, _cards, _phones, _patterns, _names, _by_presidio)
"""What an earlier one finds, a later one leaves alone."""


@cache
def first_names() -> Mapping[str, bool]:
    """Return whether a frequent first name is an everyday word too, keyed by the name in lower case."""
    text = resources.files(__package__).joinpath("first_names.txt").read_text("utf-8")
    names = [name for line in text.splitlines() if not line.startswith("#") for name in line.split()]
    return {name.rstrip("*").casefold(): name.endswith("*") for name in names}
