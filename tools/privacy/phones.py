"""Phone numbers: international ones, national ones of several countries, and short ones after words such as "call"."""

import re
from collections.abc import Iterator
from itertools import accumulate, count

from whimbrel.tools.privacy.spans import LETTER, Span, Text
from whimbrel.tools.privacy.words import Cues, any_of

WITH_ZERO = ("DE", "GB", "FR", "IT", "NL", "AT", "CH", "BE", "AU", "JP", "CN", "IN", "ZA", "SE")
"""The countries whose national numbers begin with a zero."""
WITHOUT_ZERO = ("US", "ES", "MX", "BR", "CN", "IN", "IT", "PT", "PL")
"""The countries whose national numbers begin with none. Of CN, IN and IT these are mobile numbers."""
LEAST_DIGITS, MOST_DIGITS = 7, 15
LEAST_DIGITS_AFTER_CUE = 6
MOST_GROUPS = 6
"""Groups of digits that one number may have."""
MOST_CHECKS = 150
"""Numbers of a text that the library checks, since it is slow. Of still more, all that look like numbers are taken."""

# A run of digits and of what may stand between them. Possessive, since a run is never tried again at a later start.
_RUN = re.compile(r"(?:\+|(?<![\w.+/:#-])\(?|(?<=[\u3400-\u9fff]))\(?\d[\d\s()./-]*+", re.ASCII)
_GROUP = re.compile(r"\d+")
_CUE = Cues(any_of("phones") + r"(?:[^\d\n+(]{0,24})(?<![a-z-])", "phones")
_AFTER_CUE = re.compile(r"[+(]?\d[\d\s()./-]{3,22}\d(?!\d)", re.ASCII)
LOOK_BACK = 12
"""Characters before digits that may tell that they are the number of a thing, or money."""
_UNIT = re.compile(
    rf"\s?(?:%|€|\$|£|¥|元|块|usd|eur|gbp|cm|mm|km|kg|mb|gb|tb|ml|mah|px|x\s?\d|mal|times|euros?|dollars?|pounds?|"
    rf"pieces|stück|uhr|am\b|pm\b)(?![{LETTER}])"
)
_NO_PHONE_BEFORE = re.compile(
    r"(?:isbn|ean|upc|asin|issn|gtin|sku|item|article|artikel|model|modell|\bart\.?|nr\.?|€|\$|£|¥|#|№)[\s:-]{0,3}"
    r"(?:1[03])?[\s:-]{0,3}$"
)
_DATE = re.compile(r"(?:19|20)\d\d|[0-3]?\d[./-][01]?\d[./-](?:19|20)?\d\d")


def phones(text: Text) -> Iterator[Span]:
    """Find phone numbers. Numbers without a country code must be valid in one of some countries."""
    checks = count(1)
    for run in _RUN.finditer(text.plain):
        before = text.lower[max(run.start() - LOOK_BACK, 0) : run.start()]
        if len(run[0]) >= LEAST_DIGITS and not _NO_PHONE_BEFORE.search(before):
            yield from _in_run(text, run, checks)
    for cue in _CUE.finditer(text):
        number = _AFTER_CUE.match(text.plain, cue.end())
        if number and _is_short_phone(number[0]) and not _UNIT.match(text.lower, number.end()):
            yield Span(*number.span(), "PHONE")


def _in_run(text: Text, run: re.Match[str], checks: Iterator[int]) -> Iterator[Span]:
    """Find numbers in a run of digits. The longest that begins at a group of digits is taken."""
    groups = [group.span() for group in _GROUP.finditer(text.plain, run.start(), run.end())]
    ends = [0, *accumulate(end - start for start, end in groups)]
    first = 0
    while first < len(groups):
        start = _with_sign(text.plain, groups[first][0])
        is_inside = first and text.plain[groups[first][0] - 1] in "-./"
        for last in range(min(first + MOST_GROUPS, len(groups)) - 1, first - 1, -1):
            digits = ends[last + 1] - ends[first]
            if digits < LEAST_DIGITS or is_inside:
                break
            number, end = text.plain[start : groups[last][1]], groups[last][1]
            if digits > MOST_DIGITS or not _may_be_phone(number, digits) or _UNIT.match(text.lower, end):
                continue
            if next(checks) > MOST_CHECKS or _is_phone(number):
                yield Span(start, end, "PHONE")
                first = last
                break
        first += 1


def _is_short_phone(number: str) -> bool:
    """Return whether digits after "call" or such are a number, and no decimals: "portable USB 3.0 2.5"."""
    digits = sum(map(str.isdigit, number))
    return digits >= LEAST_DIGITS_AFTER_CUE and not re.match(r"\d{1,2}\.\d\b", number) and not _DATE.fullmatch(number)


def _with_sign(plain: str, start: int) -> int:
    """Return where a number begins with its plus and brackets."""
    while start and plain[start - 1] in "+(":
        start -= 1
    return start


_INTERNATIONAL = re.compile(r"\(?(?:\+|00)\d")
_NATIONAL_WITH_ZERO = re.compile(r"\(?0[1-9][\d\s()./-]*$")
_NATIONAL = re.compile(
    r"\(?[2-9]\d\d\)?[ .-]{1,2}[2-9]\d\d[ .-]\d{4}|[2-9]\d\d[2-9]\d{6}|1[ .-][2-9]\d\d[ .-][2-9]\d\d[ .-]\d{4}"  # US
    r"|1[3-9]\d[ -]?\d{4}[ -]?\d{4}"  # CN
    r"|[6789]\d\d[ .-]\d\d\d[ .-]\d\d\d|[6789]\d\d[ .-]\d\d[ .-]\d\d[ .-]\d\d|[67]\d{8}|[67]\d\d \d{6}|"
    r"9[1-9] \d{3} \d{2} \d{2}"  # ES, PT
    r"|\(?(?:55|56|33|81)\)?[ -]\d{4}[ -]\d{4}|\d{3} \d{3} \d{4}"  # MX
    r"|\(?[1-9]\d\)?[ -]?9\d{4}[ -]?\d{4}"  # BR
    r"|[6-9]\d{4}[ -]?\d{5}"  # IN
    r"|3\d\d[ .-]?\d{3}[ .-]?\d{4}|3\d\d[ .-]?\d{7}|3\d\d[ .-]\d{6}|3\d\d[ .-]\d\d[ .-]\d\d[ .-]\d\d\d"  # IT
    r"|[5-8]\d\d[ -]\d{3}[ -]\d{3}"  # PL
)


def _may_be_phone(number: str, digits: int) -> bool:
    if _INTERNATIONAL.match(number):
        return digits >= 8
    if re.search(r"[./-]{2}|\s{3}|\n|\d{4}[ .-]\d\d$", number) or (digits == 8 and _DATE.match(number)):
        return False
    # Of decimals and dates with zeros, such as 01.02.2023, the groups are too short or the year ends them.
    if _NATIONAL_WITH_ZERO.match(number):
        return 9 <= digits <= 12 and not re.fullmatch(r"\d\d[./-]\d\d[./-]\d{4}(?:\s?-.*)?", number)
    return _NATIONAL.fullmatch(number) is not None


def _is_phone(number: str) -> bool:
    """Return whether a number is valid: anywhere with its country code, otherwise in one of some countries."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    regions: tuple[str | None, ...] = (None,)
    if not _INTERNATIONAL.match(number):
        regions = WITH_ZERO if number.lstrip("(")[0] == "0" else WITHOUT_ZERO
    else:
        number = re.sub(r"^\(?(?:\+|00)", "+", number).replace("(0)", "")
    for region in regions:
        try:
            if is_valid_number(parse(number, region)):
                return True
        except NumberParseException:
            continue
    return False
