"""Names that the words around introduce: "my name is", "my sister", "Mrs", "regards". They need be on no list."""

import re
from collections.abc import Iterable, Iterator

from whimbrel.tools.privacy.name_forms import (
    CALLS,
    CAPITAL_WORD,
    FULL_NAME,
    NO_START,
    NOT_NAMES,
    SMALL_NAME,
    TITLES,
    any_name,
    capital_name,
    full_capital_name,
    has_no_part,
    is_name_end,
    person,
    small_full_name,
    surname,
    with_surname,
)
from whimbrel.tools.privacy.public import has_public_words, is_in_title, is_public_mention, is_title
from whimbrel.tools.privacy.spans import CAPITAL, LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of, first_names, listed, surnames

LONGEST_NAME = 80
"""Characters that are read for a name before an address, and for one at the end."""

_IS = r"(?:\s{0,2}(?:[:=,(-]|\bis\b|\bist\b|\best\b|\bes\b|\bè\b)){0,2}\s{0,2}\"?"
_HONORIFICS = rf"(?:{any_of('titles')}\s{{1,2}})"
_INTRODUCES = Cues(rf"{any_of('introduces')}{_IS}{_HONORIFICS}{{0,2}}", "introduces")
_CALLED = re.compile(r"named|nommée?|namens|(?:they |people )?call me|nenn|appelle|chiamami|noem|llámame")
"""An everyday word in small letters may follow these: "call me old-fashioned"."""
_MAY_INTRODUCE = Cues(rf"{any_of('may_introduce')}\s{{1,2}}{_HONORIFICS}{{0,2}}", "may_introduce")
_OF_ONESELF = ("i'm", "soy", "yo", "sono", "je", "i", "ich", "ik", "io")
_OF_ONESELF_IN_FULL = ("i", "ich", "ik", "io")
"""After these, one unknown word with a capital is seldom a name: "ich bin Fan"."""
_FIELD = Cues(rf"{any_of('name_fields')}\s{{0,2}}[:=]\s{{0,2}}", "name_fields")
_BEFORE_FIELD = re.compile(r"(?:^|[\n,;(|])\s{0,3}(?:(?:my|customer|contact|meine?|mon|mi|il mio|mijn)\s)?$")
_AFTER_NAME = re.compile(
    r"\s*(?:[.,;!?)\n]|$|\s(?:and|from|und|aus|et|de|y|in|here|speaking|with|who|geboren|born|\d))"
)
_AGE = re.compile(r",?\s\(?\d{1,2}\b(?![.:%])")
_ORIGIN = re.compile(
    r"(?:ish|ese|ian|ican|ist|dutch|french|german|greek|swiss|muslim|catholic|vegan|vegetarian|deutsche[rn]?|jewish|"
    r"canadian|team|nintendo|playstation)$"
)

_RELATIVE = (
    rf"{any_of('my')}\s{{1,2}}(?:{any_of('kin_adjectives')}\s{{1,2}}){{0,2}}{any_of('kin', 'jobs')}"
    r"(?:\s(?:mayor|menor|pequeñ[oa]|maggiore|minore|cadet|cadette|aîné|aînée)\b)?"
    r"|(?<!\w)(?:a|an) (?:\w{3,10} )?friend of (?:mine|ours)"
)
_RELATED = Cues(
    rf"(?:{_RELATIVE})(?:(?P<called>(?:\s|,\s)?{any_of('is_called')})|[ ]?[:,(-]|\sis\b|\sist\b)?\s{{0,2}}"
    rf"{_HONORIFICS}{{0,2}}",
    "my",
    "kin",
    "jobs",
)
_AND = re.compile(r"\s{0,2}(?:,|and|und|et|y|e|en|&)\s{1,2}")
_NOUN = re.compile(
    r"(?:ung|heit|keit|schaft|zeug|buch|bücher|spiel|spiele|filme?|tee|kaffee|schuhe|tasche|kleid|ish|ese|ian|ists?|"
    r"musik|karten?|gutschein|kuchen|wein|parfum|schmuck|blumen|fan|lover)$"
)

_TITLED = Cues(rf"(?P<my>(?:{any_of('my')}|\beine)\s{{1,2}})?{_HONORIFICS}{{1,3}}", "titles")
_FRENCH_M = re.compile(
    r"(?:(?<![a-z])(?:à|pour|de|chez|avec|et|cher|c'est|est|bonjour|par|que)\s|^|[,:]\s)m(?:\.|m\.)\s{1,2}"
)
_THE_FAMILY = re.compile(
    rf"\b(?:the|der|die)\s([{CAPITAL}][{CAPITAL}{LETTER}-]{{1,30}}(?:\s[{CAPITAL}][{LETTER}]{{1,30}})?)"
    r"(?=\s(?:family|household)\b)"
)

_KIN = frozenset(listed("kin"))
_CELEBRATED = re.compile(
    r"(?<![\w'])(?!(?:Mother|Father|Valentine|Women|Men|Children|Today|Tomorrow|Season|It|Let|She|He|What|That|Who)')"
    rf"({CAPITAL_WORD})'s\s(?:\d{{1,2}}(?:st|nd|rd|th)\s)?"
    r"(?:birthday|wedding|baby shower|graduation|anniversary|christening|retirement|bday)\b"
)
_AND_I = re.compile(
    rf"(?<![\w'])({CAPITAL_WORD}) (?:and I|und ich|y yo|et moi|e io|en ik)\b,? [{LETTER}]"
    rf"|\b(?:[Mm]e and|I and|[Ii]ch und|[Mm]oi et) ({CAPITAL_WORD}) [{LETTER}]"
)

_CLOSES = Cues(
    rf"{any_of('closes')}(?:\s{{0,2}}[,!.:-]{{1,2}}\s{{0,3}}|\s{{0,2}}\n\s{{0,3}})"
    r"(?:(?:ihr|ihre|euer|eure|dein|deine|your|from)\s)?",
    "closes",
)
_TITLES_CLOSE = ("love", "best", "thanks", "thank", "yours")
_CLOSES_OFTEN = re.compile(
    r"(?:thanks|thank you|thx|love|best|ta|cheers|merci|gracias|grazie|danke|dank|bedankt|"
    r"obrigad[oa]|besos|baci|yours)\W*$"
)
"""Words that begin a sentence as often as they close a letter."""
_CLOSES_SHORT = re.compile(
    r"(?<![a-z])(?:lg|vg|mfg|mvg|grüße|grüsse|gruß|groetjes|groeten|xoxo|xx|saludos|bises|cordialement)\s{1,2}"
)
_DASH = re.compile(r"(?:[a-zß-ÿ.!?)]\s{0,2}\n?\s{0,2}(?:—|--|-)\s{0,2}|\n\s{0,2}(?:—|-|~)\s{0,2})(?=[^\n]{2,40}\s*$)")
_BESIDE = re.compile(
    rf"({FULL_NAME})\s{{0,2}}([,;:(|\n-]{{0,2}})\s{{0,2}}"
    r"(?:(?i:e-?mail|tel\.?|phone|mobile|handy|address|adresse)\s?:?\s{0,2})?$"
)

_FAMILY_BESIDE = re.compile(
    rf"(?<!\w)(?:[Tt]he|[Dd]ie|[Ll]es|[Ll]os|[Ii]|[Dd]e)\s({CAPITAL_WORD})\s{{0,2}}[,;:(|\n-]{{1,2}}\s{{0,2}}(?:at\s)?$"
)
"""A whole family before its address: "the Schmidts, 12 Baker Street"."""


def introduced(text: Text) -> Iterator[Span]:
    """Find names after "my name is", after "Name:", and after "I'm" where a name is likely."""
    for cue in _INTRODUCES.finditer(text):
        span = capital_name(text, cue.end())
        if span is None:
            span = _frequent_name(text, cue.end()) if _CALLED.match(cue[0]) else any_name(text, cue.end())
        words = text.plain[cue.start() : cue.end()].split()
        is_title_of_work = len(words) > 1 and all(word[0].isupper() for word in words)  # "They Call Me Trinity"
        if span and not is_title_of_work:
            yield span
    for cue in _FIELD.finditer(text):
        before = text.lower[max(cue.start() - 20, 0) : cue.start()]
        if _BEFORE_FIELD.search(before) and (span := any_name(text, cue.end())):
            yield span
    for cue in _MAY_INTRODUCE.finditer(text):
        span = _likely_name(text, cue)
        if span and not has_public_words(text, span):
            yield span


def _likely_name(text: Text, cue: re.Match[str]) -> Span | None:
    """Return the name after "I'm" or such. "I'm hungry" and the title "I Am Sam" have none."""
    span = capital_name(text, cue.end())
    if span is None:
        span = small_full_name(text, cue.end())
        if span and is_name_end(text, span.end):
            return span
        span = _frequent_name(text, cue.end())
        return span if span and (cue.start() == 0 or _AFTER_NAME.match(text.lower, span.end)) else None
    said = text.plain[cue.start() : cue.end()].split()
    if len(said) > 1 and said[0][0].isupper() and said[1][0].isupper() and said[1].lower() not in TITLES:
        return None
    words = text.lower[span.start : span.end].split()
    if words[0] in first_names() or any(word in surnames() for word in words[1:]) or _AGE.match(text.lower, span.end):
        return span
    subject = cue[0].split()[0]
    is_caller = len(words) > 1 and CALLS.match(text.lower, span.end) is not None
    is_whole = len(words) > 1 or (subject not in _OF_ONESELF_IN_FULL and _AFTER_NAME.match(text.lower, span.end))
    is_likely = is_caller or (is_whole and subject in _OF_ONESELF and not _ORIGIN.search(words[0]))
    if is_likely and subject in _OF_ONESELF_IN_FULL:
        span = full_capital_name(text, span.start)
    return span if span and is_likely and not is_in_title(text, span) else None


def _frequent_name(text: Text, start: int) -> Span | None:
    """Return the frequent first name in small letters that begins at a place, with the family name after it."""
    small = SMALL_NAME.match(text.lower, start)
    is_name = small and first_names().get(small[0]) is False and small[0] not in NOT_NAMES
    return with_surname(text, *small.span()) if small and is_name else None


def related(text: Text) -> Iterator[Span]:
    """Find names after "my sister" and such, and a second one after "and"."""
    for cue in _RELATED.finditer(text):
        span = any_name(text, cue.end()) if cue["called"] else _name_of_relative(text, cue)
        if span is None:
            continue
        yield span
        if other := _AND.match(text.lower, span.end):
            second = capital_name(text, other.end())
            names = [text.lower[one.start : one.end].split()[0] for one in (span, second) if one]
            if second and (cue["called"] or any(name in first_names() for name in names)):
                yield second


def _name_of_relative(text: Text, cue: re.Match[str]) -> Span | None:
    span = capital_name(text, cue.end())
    if span is None:
        return _frequent_name(text, cue.end())
    word = text.lower[span.start : span.end].split()[0]
    if word not in first_names() and _NOUN.search(word):  # "meiner Frau Bücher"
        return None
    return None if is_in_title(text, person(cue.start(), span.end)) else span  # "My Baby Girl"


def entitled(text: Text) -> Iterator[Span]:
    """Find names after "Mrs", "Familie" and such. Brands are left out where that is told: "a Mr. Coffee machine"."""
    french = _FRENCH_M.finditer(text.lower) if "m." in text.lower else ()
    for cue in (*_TITLED.finditer(text), *french):
        if cue.re is not _FRENCH_M and cue["my"]:  # "meine Frau" is a relative
            continue
        span = surname(text, cue.end())
        if span and not is_public_mention(text, person(cue.start(), span.end)):
            yield span
    yield from (person(*match.span(1)) for match in _THE_FAMILY.finditer(text.plain))


def celebrated(text: Text) -> Iterator[Span]:
    """Find any name whose birthday or such it is, or of somebody who is one of "and I"."""
    for match in (*_CELEBRATED.finditer(text.plain), *_AND_I.finditer(text.plain)):
        group = match.lastindex or 1
        span = person(*match.span(group))
        word = match[group].lower()
        if word not in NO_START and word not in _KIN and not is_in_title(text, span):
            yield span


def signed(text: Text) -> Iterator[Span]:
    """Find a name at the end of a line, after "regards" or a dash."""
    for cue in (*_CLOSES.finditer(text), *_CLOSES_SHORT.finditer(text.lower)):
        # "Love, Rosie" alone is a title.
        if cue.start() or not cue[0].startswith(_TITLES_CLOSE) or text.plain[0].islower():
            yield from _at_the_end(text, cue.end())
    tail = max(len(text.plain) - LONGEST_NAME, 0)
    for cue in _DASH.finditer(text.lower, tail):
        before = text.plain[tail : cue.start() + 1].rstrip()
        is_end = before.endswith((".", "!", "?")) or "\n" in cue[0] or "—" in cue[0]
        # A title may have a dash too: "Ready, Set, Go! - Nintendo DS".
        if is_end and not is_title(before.split("\n")[-1] or before):
            yield from _at_the_end(text, cue.end())


def _at_the_end(text: Text, start: int) -> Iterator[Span]:
    span = any_name(text, start)
    # "Regards, Anna Schmidt, a reader since 1987"
    if span and text.plain.startswith((",", " ("), span.end) and not _CLOSES_OFTEN.search(text.lower[:start][-30:]):
        whole = full_capital_name(text, start)
        if whole == span and not is_in_title(text, span):
            yield span
            return
    if span and not text.plain[span.end : span.end + LONGEST_NAME].split("\n")[0].strip(" .!)*"):
        yield span


def owners(text: Text, spans: Iterable[Span]) -> Iterator[Span]:
    """Find names right before an address, a phone number or an e-mail address: "Anna Schmidt, 12 Baker Street"."""
    for span in spans:
        begin = max(span.start - LONGEST_NAME, 0)
        before = text.plain[begin : span.start]
        if span.kind not in ("ADDRESS", "PHONE", "EMAIL") or before == text.lower[begin : span.start]:
            continue
        if span.kind == "ADDRESS" and (family := _FAMILY_BESIDE.search(before)):
            yield person(begin + family.start(1), begin + family.end(1))
        match = _BESIDE.search(before)
        if match and not has_no_part(match[1]):
            is_known = any(word in first_names() or word in surnames() for word in match[1].lower().split())
            if is_known or (span.kind == "ADDRESS" and match[2]):
                yield person(begin + match.start(1), begin + match.end(1))
