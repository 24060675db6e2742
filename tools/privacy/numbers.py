"""Numbers of a person: of accounts and cards, of papers, of orders and parcels, and the day of birth.

Numbers with a checksum are found by it (`python-stdnum`), others by a form that nothing else has, or by the words
before them.
"""

import re
from collections.abc import Callable, Iterator

from whimbrel.tools.privacy.public import is_in_title
from whimbrel.tools.privacy.spans import LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of

_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}\d{2}(?:[ .-]{0,2}[a-z0-9]){11,36}(?![a-z0-9])")
_CARD = re.compile(r"(?<!\d)(?<!\d[.,-])\d(?:[ ./_-]{0,3}\d){13,18}(?!\d|[.,-]\d)")
_BY_FORM = re.compile(
    r"(?<![a-z0-9-])(?:"
    r"\d{3}-\d{2}-\d{4}"  # US social security
    r"|\d{3}-\d{7}-\d{7}"  # order at Amazon
    r"|1z ?[0-9a-z]{3} ?[0-9a-z]{3} ?\d{2} ?\d{4} ?\d{4}"  # parcel of UPS
    r"|[a-z]{2}\d{9}[a-z]{2}|[a-z]{2} \d{3} \d{3} \d{3} [a-z]{2}"  # parcel of the post (UPU S10)
    r"|jjd\d{14,20}|jvgl\d{12,20}|sf\d{12,15}|yt\d{13,15}|tba\d{12}"  # parcels of DHL, SF, YTO, Amazon
    r"|[a-ceghj-prtw-z][a-ceghj-nprtw-z] ?\d{2} ?\d{2} ?\d{2} ?[a-d]"  # UK national insurance
    r"|\d{2} ?\d{6} ?[a-z] ?\d{3}"  # German social insurance
    r"|756\.\d{4}\.\d{4}\.\d{2}"  # Swiss social insurance
    r"|\d{3}\.\d{3}\.\d{3}-\d{2}"  # Brazilian CPF
    r"|[a-z]{6}\d{2}[a-z]\d{2}[a-z]\d{3}[a-z]"  # Italian codice fiscale
    r"|[a-z]{4}\d{6}[hm][a-z]{5}[0-9a-z]\d"  # Mexican CURP
    r")(?![a-z0-9]|-\d)"
)
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][a-z][·. ]?[0-9a-z]{5,6}(?![0-9a-z])"
)
_CHECKED = re.compile(
    r"(?<![a-z0-9.-])(?:\d{17}[\dx]|[xyz]?-?\d{7,8}[ -]?[a-z]|\d{2}\.\d{3}\.\d{3}-?[a-z]"
    r"|[1278] ?\d{2} ?\d{2} ?\d[\dab] ?\d{3} ?\d{3} ?\d{2}|\d{2} \d{3} \d{3} \d{3}|\d{3} \d{3} \d{4})(?![a-z0-9]|-\d)"
)

# A number after words. It may have groups: after a space, a group has a digit and two characters.
_VALUE = re.compile(
    r"(?:[a-z]{1,4}[/_.-]?|[a-z]{1,2} ){0,2}\d[0-9a-z]{0,30}(?:(?:[/_.-]| (?=[a-z]{0,2}\d[0-9a-z]))[0-9a-z]{1,20}"
    r"){0,8}(?![a-z0-9])"
)
_ONES = (
    rf"(?:\s{{1,2}}(?:(?:of|for|de|di|von|van|für|pour|para|per|voor)\s{{1,2}})?{any_of('my')}\s{{1,2}}"
    rf"{any_of('kin')})?"
)
"""Whose a number is: "NIE de mi hermana"."""
_LAST_LETTER = re.compile(r"\s([A-Z])(?=\s{0,2}(?:[,.;:!?()\n]|$)|\s{1,2}[a-z])")
_NO_LAST_LETTER = "AEIOUY"
"""Words of one letter, such as "I" and the Spanish "y"."""
_ISSUER = re.compile(r"[A-Z]{2,6}\s{1,2}(?=\d)")
"""Who gave out a number, before it: "policy AXA 12345"."""
_LINK = (
    r"(?:\s{0,2}(?:(?:is|was|ist|lautet|war|est|es|è|sono|are|é|är|er|jest|este)(?=[\s:])|是|为|:|=|#|\(|n\.?[º°]|-)){0,3}"
    r"\s{0,2}"
)
_NUMBERED = Cues(
    rf"{any_of('numbered')}(?:[\s:.s-]{{0,2}}({any_of('number')}|(?<=[a-z])(?:nummer|number|nr|no|id)\b)"
    rf"){{0,2}}\.?{_ONES}({_LINK})",
    "numbered",
)
_PAPERS = Cues(rf"{any_of('papers')}{_ONES}({_LINK})", "papers")
_BRITISH_PLATE = re.compile(r"[a-z]{2}\d{2} [a-z]{3}(?![a-z0-9])")
_GLUED = re.compile(rf"(?<![{LETTER}])[{LETTER}]{{3,30}}(?:nummern?|nr)(?![{LETTER}])\.?({_LINK})")
_NUMBER_OF = Cues(
    rf"{any_of('number_of')}\s{{0,2}}(?:de |du |do |del |della |la |mon |ma |mi |mio "
    rf")?\s{{0,2}}{any_of('numbered')}({_LINK})",
    "number_of",
)
LEAST_PLAIN_DIGITS = 5
"""After "order" alone, without "number" or a colon, so many digits make a number. Less may be a year or an amount."""

LEAST_MIXED_DIGITS = 2

_MONTHS = (
    "jan|feb|fév|fev|mar|mär|mrt|apr|avr|abr|may|mai|mag|mei|maj|jun|juin|giu|jul|juil|lug|aug|août|aou|ago|sep|set|"
    "okt|oct|ott|"
    "out|nov|dec|dez|déc|dic|ene|gen"
)
_DATE = (
    r"(?:\d{1,2}[./-]\s?\d{1,2}[./-]\s?\d{2,4}|\d{4}[./-]\d{1,2}[./-]\d{1,2}|\d{4}\s?年\s?\d{1,2}\s?月"
    r"(?:\s?\d{1,2}\s?[日号])?|\d{1,2}\s?月\s?\d{1,2}\s?[日号]"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.|er|º|°)?\s{{1,2}}(?:of |de )?(?:{_MONTHS})[{LETTER}]{{0,8}}\.?(?:,?\s(?:de |del "
    rf")?\d{{2,4}})?"
    rf"|(?:{_MONTHS})[{LETTER}]{{0,8}}\.?\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?)(?!\d)"
)
_BIRTH = Cues(
    rf"{any_of('births')}(?:\s{{0,2}}(?:is|on|the|was|ist|am|den|der|est|le|es|el|è|il|op|de|is on|是|为|于|:|=|-)"
    rf"){{0,3}}\s{{0,2}}({_DATE})",
    "births",
)


def accounts(text: Text) -> Iterator[Span]:
    """Find IBANs and cards by their checksums."""
    from stdnum import luhn

    for match in _IBAN.finditer(text.lower):
        end = _end_of_iban(match[0])
        if end:
            yield Span(match.start(), match.start() + end, "IBAN")
    for match in _CARD.finditer(text.lower):
        digits = re.sub(r"\D", "", match[0])
        if digits[0] in "23456" and luhn.is_valid(digits) and len(set(digits)) > 1 and _has_groups(match[0]):
            yield Span(*match.span(), "CARD")


def _end_of_iban(words: str) -> int:
    """Return where an IBAN at the start of some words ends, 0 if there is none. A word may follow it."""
    ends = [group.end() for group in re.finditer(r"[a-z0-9]+", words)]
    compact = [re.sub(r"[ .-]", "", words[:end]) for end in ends]
    return next(
        (end for end, number in zip(reversed(ends), reversed(compact), strict=True) if _is_iban(number)),
        0,
    )


def _is_iban(number: str) -> bool:
    from stdnum import iban
    from stdnum.iso7064 import mod_97_10

    # The checksum is quick, the form of each country is not.
    return (
        15 <= len(number) <= 34
        and mod_97_10.is_valid(number[4:] + number[:4])
        and iban.is_valid(number, check_country=False)
    )


def _has_groups(words: str) -> bool:
    """Return whether digits stand in groups as those of a card do, with the same sign between them."""
    groups = [len(group) for group in re.findall(r"\d+", words)]
    signs = set(re.findall(r"\D+", words))
    return len(signs) <= 1 and (min(groups[:-1], default=4) >= 4 or set(groups) == {1})


def papers(text: Text) -> Iterator[Span]:
    """Find numbers of papers and parcels by their form or checksum."""
    for pattern in (_BY_FORM, _PLATE):
        yield from (Span(*match.span(), "NUMBER") for match in pattern.finditer(text.lower))
    for match in _CHECKED.finditer(text.lower):
        if _is_paper(match[0]):
            yield Span(*match.span(), "NUMBER")


def _is_paper(words: str) -> bool:
    from stdnum.cn import ric
    from stdnum.de import idnr
    from stdnum.es import dni, nie
    from stdnum.fr import nir
    from stdnum.gb import nhs

    compact = re.sub(r"[ .-]", "", words)
    checks: dict[int, tuple[Callable[[str], bool], ...]] = {
        9: (dni.is_valid, nie.is_valid),
        10: (nhs.is_valid,),
        11: (idnr.is_valid,),
        15: (nir.is_valid,),
        18: (ric.is_valid,),
    }
    return any(is_valid(compact) for is_valid in checks.get(len(compact), ()))


def numbered(text: Text) -> Iterator[Span]:
    """Find numbers after words such as "order number" or "numéro de client"."""
    for cue in _NUMBERED.finditer(text):
        is_said = bool(cue[1] or re.search(r"[#°º是为]", cue[0]))
        for value in _value(
            text, cue.end(), least_digits=4 if is_said else LEAST_PLAIN_DIGITS, with_letters=is_said or ":" in cue[0]
        ):
            if is_said or not _in_long_title(text, cue.start(), value.end):
                yield value
    for cue in _PAPERS.finditer(text):
        if plate := _BRITISH_PLATE.match(text.lower, cue.end()):
            yield Span(*plate.span(), "NUMBER")
        for value in _value(text, cue.end(), least_digits=LEAST_PLAIN_DIGITS, with_letters=True):
            if not _in_long_title(text, cue.start(), value.end):
                yield value
    glued = _GLUED.finditer(text.lower) if re.search(r"nummern?\b|nr\b", text.lower) else ()
    for cue in (*glued, *_NUMBER_OF.finditer(text)):
        yield from _value(text, cue.end(), least_digits=3, with_letters=True)


def _in_long_title(text: Text, start: int, end: int) -> bool:
    """Return whether a number stands in a title with other words: "Graphics Card 03G-P4-2783"."""
    return bool(re.search(r"[A-Z]\w+ [A-Z]", text.plain[max(start - 40, 0) : start + 8])) and is_in_title(
        text, Span(start, end, "NUMBER")
    )


def _value(text: Text, start: int, *, least_digits: int, with_letters: bool) -> Iterator[Span]:
    """Find a number at a place. With letters, two digits are enough."""
    issuer = _ISSUER.match(text.plain, start)
    value = _VALUE.match(text.lower, issuer.end() if issuer else start)
    if value is None:
        return
    digits = sum(map(str.isdigit, value[0]))
    letter = _LAST_LETTER.match(text.plain, value.end()) if " " in value[0] else None
    end = letter.end() if letter and letter[1] not in _NO_LAST_LETTER else value.end()
    if digits >= least_digits or (
        with_letters and digits >= LEAST_MIXED_DIGITS and len(value[0]) >= 6 and digits < len(value[0])
    ):
        yield Span(start, end, "NUMBER")


def births(text: Text) -> Iterator[Span]:
    """Find days of birth. A year alone is none."""
    yield from (Span(*match.span(1), "BIRTHDAY") for match in _BIRTH.finditer(text))
    for match in re.finditer(
        rf"({_DATE})\s{{0,2}}(?:日)?(?:出生|生日|生(?![{chr(0x4E00)}-{chr(0x9FFF)}]))", text.lower
    ):
        yield Span(*match.span(1), "BIRTHDAY")
