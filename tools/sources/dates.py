"""Dates in words and figures: the moment that a text of date, clock and zone describes."""

import re
import tomllib
import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path

_CALENDAR = tomllib.loads(Path(__file__).with_name("calendar.toml").read_text("utf-8"))
_MONTHS = {word: number for number, words in enumerate(_CALENDAR["months"], start=1) for word in words.split()}
_WEEKDAYS = frozenset(_CALENDAR["weekdays"].split())
_ZONES: dict[str, float] = _CALENDAR["zones"]
_PM, _AM = {"pm", "p.m.", "p.m", "下午", "晚上", "午後"}, {"am", "a.m.", "a.m", "上午", "早上", "凌晨", "午前"}
_CLOCK = re.compile(
    r"(?P<half>上午|下午|晚上|早上|凌晨|午前|午後)?\s*(?P<hour>\d{1,2})\s*(?:[:h点點时時]|\.(?=\d\d(?:\D|$)))\s*"
    r"(?:(?P<minute>\d{1,2}))?(?:分|\s*[:.m]\s*(?P<second>\d{1,2})(?:[.,](?P<fraction>\d+))?)?(?:秒|s\b)?"
    r"(?:\s*(?P<after>[ap]\.?\s?m\b\.?))?(?:\s*(?:Uhr|h|o'clock)\b)?",
    re.I,
)
_CLOCK_BEFORE = r"(?P<clock>\d:\d\d(?::\d\d(?:[.,]\d+)?)?)\s*"
_OFFSET = re.compile(rf"{_CLOCK_BEFORE}(?:UTC|GMT)?\s*(?P<sign>[+-])(?P<hours>\d{{1,2}}):?(?P<minutes>\d{{2}})?$", re.I)
# Thu Jan 02 08:19:53 -0700 2014
_OFFSET_BEFORE_YEAR = re.compile(
    rf"{_CLOCK_BEFORE}(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{{2}})(?P<minutes>\d{{2}})\s+(?P<year>\d{{4}})$"
)
_NAMED_ZONE = re.compile(r"(?<![A-Za-z])(?P<zone>[A-Za-z]{1,4})(?:\s+(?P<year>\d{4}))?\s*$")
_YEAR_FIRST = re.compile(r"^(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})(?:日|号)?(?=\D|$)")
YEAR_LAST = re.compile(r"^(\d{1,2})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})(?=\D|$)")


def parsed_date(text: str, *, day_first: bool, fixed: bool = False) -> datetime:
    """Return the moment that a text of date, clock and zone describes."""
    offset, rest = _offset(text.replace("T", " ", 1) if re.match(r"\d{4}-\d+-\d+T", text) else text)
    clock = _clock(rest)
    hour = minute = second = microsecond = 0
    if clock is not None:
        start, end, hour, minute, second, microsecond = clock
        rest = f"{rest[:start]} {rest[end:]}"
    try:
        year, month, day = _date(re.sub(r"\s+", " ", rest).strip(" ,Tt"), day_first=day_first, fixed=fixed)
        moment = datetime(year, month, day, hour, minute, second, microsecond)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"time {text[:40]!r} is in no known format: say which with --time-format") from None
    return moment.replace(tzinfo=timezone(offset)) if offset is not None else moment


def _offset(text: str) -> tuple[timedelta | None, str]:
    """Return the distance from UTC that a text names, and the rest of the text."""
    match = _NAMED_ZONE.search(text)
    if match and match["zone"].lower() in _ZONES:
        hours, rest = _ZONES[match["zone"].lower()], f"{text[: match.start()]} {match['year'] or ''}"
        return timedelta(hours=hours), rest.rstrip()
    match = _OFFSET.search(text) or _OFFSET_BEFORE_YEAR.search(text)
    if not match:
        return None, text
    distance = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
    rest = f"{text[: match.start()]}{match['clock']} {match.groupdict().get('year') or ''}".rstrip()
    return (-distance if match["sign"] == "-" else distance), rest


def _clock(text: str) -> tuple[int, int, int, int, int, int] | None:
    """Return where the clock of a text begins and ends, and its hour, minute, second and microsecond."""
    date = _YEAR_FIRST.match(text) or YEAR_LAST.match(text)
    match = next(
        (
            m
            for m in _CLOCK.finditer(text, date.end() if date else 0)
            if m["minute"] or m["after"] or m["half"] or "点" in m[0]
        ),
        None,
    )
    if match is None:
        match = re.search(r"(?<!\d)(?P<hour>\d{1,2})\s?(?P<after>[ap]\.?m)\b", text, re.I)
        if match is None:
            return None
    groups = match.groupdict()
    hour = int(groups["hour"])
    half = (groups.get("half") or groups.get("after") or "").lower().replace(" ", "")
    if half in _PM and hour < 12:
        hour += 12
    elif half in _AM and hour == 12:
        hour = 0
    fraction = (groups.get("fraction") or "0").ljust(6, "0")[:6]
    minute, second = int(groups.get("minute") or 0), int(groups.get("second") or 0)
    # A leap second has the number 60, which Python does not have.
    return match.start(), match.end(), hour, minute, 59 if second == 60 else second, int(fraction)


def _date(text: str, *, day_first: bool, fixed: bool) -> tuple[int, int, int]:
    """Return year, month and day of a date alone.

    Raises:
        ValueError: The text is no date.
    """
    if match := _YEAR_FIRST.match(text):
        rest = text[match.end() :]
        year, month, day = int(match[1]), int(match[2]), int(match[3])
    elif match := YEAR_LAST.match(text):
        rest = text[match.end() :]
        first, second = int(match[1]), int(match[3])
        # A day past 12 shows itself, also in a column of the other order.
        if not fixed and (first if not day_first else second) > 12 >= (second if not day_first else first):
            day_first = not day_first
        year, month, day = full_year(match[4]), second if day_first else first, first if day_first else second
    elif match := re.match(r"^(\d{4})\s*[-/.年]\s*(\d{1,2})月?$", text):
        return int(match[1]), int(match[2]), 1
    else:
        return _date_in_words(text)
    if (word := rest.strip(" ,().")) and word.casefold() not in _WEEKDAYS:
        raise ValueError(rest)
    return year, month, day


def _date_in_words(text: str) -> tuple[int, int, int]:
    """Return the date of `7. Januar 2014`, `Jan 2, 2014`, `Thu Jan 02 2014` or `02-Jan-14`."""
    tokens = re.findall(r"\d+|[^\W\d_]+", text)
    months = [_MONTHS[token.casefold()] for token in tokens if token.casefold() in _MONTHS]
    numbers = [token for token in tokens if token.isdigit()]
    words = [token for token in tokens if not token.isdigit() and token.casefold() not in _MONTHS]
    if len(months) != 1 or len(numbers) not in (1, 2) or len(words) > 3 or any(len(word) > 10 for word in words):
        raise ValueError(text)
    if len(numbers) == 1:
        if len(numbers[0]) != 4:
            raise ValueError(text)
        return int(numbers[0]), months[0], 1
    year = next((n for n in numbers if len(n) == 4), numbers[1])
    day = numbers[1] if numbers[0] == year and len(year) == 4 else numbers[0]
    return full_year(year), months[0], int(day)


def full_year(text: str) -> int:
    """Return a year of four figures. Two figures below 70 are of this century."""
    return int(text) if len(text) == 4 else int(text) + (2000 if int(text) < 70 else 1900)


def is_local(text: str) -> bool:
    """Return whether a text is a date with a clock and without a zone."""
    offset, rest = _offset(unicodedata.normalize("NFKC", text).strip())
    return (
        offset is None
        and not re.fullmatch(r"[\d.,eE+-]+", rest.strip())
        and not rest.endswith(("Z", "z"))
        and _clock(rest) is not None
    )
