"""Times of a log: how a column writes them, and their values.

A text such as `3/4/2024` or `20140107` cannot be read alone. The column decides: whether the day comes first, and
what its numbers mean.
"""

import math
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from statistics import median

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.cells import LONGEST_NUMBER, is_absent
from whimbrel.tools.timestamps import EARLIEST, LATEST

NUMBERS: dict[str, Callable[[float], float]] = {
    "s": lambda number: number,
    "ms": lambda number: number / 1e3,
    "us": lambda number: number / 1e6,
    "ns": lambda number: number / 1e9,
    "days": lambda number: number * 86400,
    "excel": lambda number: round((number - 25569) * 86400, 3),
}
"""What a number may mean, and the Unix seconds of it. Excel counts days; day 25569 is 1 January 1970."""
WORDS = (*NUMBERS, "day-first", "month-first")
"""Words for `--time-format` beside a pattern such as `%d.%m.%Y %H:%M`."""
EXCEL_DAYS = (32874, 55154)
"""Excel's numbers of the days from 1990 to 2050."""
UNIX_DAYS = (5000, 32873)
"""Numbers that could be days since 1970, up to the year 2059."""
LARGEST_SECONDS = 1e10
_ZONE_AT_END = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")
PLAUSIBLE = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
IN_JANUARY_1970 = 31 * 86400
LEAST_NUMBERS = 20
"""A log of at least this many times in January 1970 is refused. A smaller one may be an example, and is questioned."""

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
_YEAR_LAST = re.compile(r"^(\d{1,2})\s?([-/.])\s?(\d{1,2})\s?\2\s?(\d{4}|\d{2})(?=\D|$)")
_COMPACT = re.compile(
    r"^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:([01]\d|2[0-3])([0-5]\d)([0-5]\d)?)?(?:\.0+)?$"
)
_NUMBER = re.compile(r"^[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?$")


@dataclass(frozen=True)
class TimeStyle:
    """How a column writes times.

    Attributes:
        number: What a number means (see `NUMBERS`). `compact` are digits such as `20140107`, and `unix` are seconds,
            milliseconds, microseconds or nanoseconds, which each number shows by its size. "" if it is unknown.
        day_first: Whether the day comes before the month in `3/4/2024`.
        fixed_order: Whether the user gave that order, so that a day past 12 in the place of the month is no time.
        pattern: The pattern that the user gave (see `datetime.strptime`); "" if there is none.
        zone: The zone of local times; times with an offset of their own do not need it.
    """

    number: str = ""
    day_first: bool = True
    fixed_order: bool = False
    pattern: str = ""
    zone: tzinfo = UTC

    def seconds(self, text: str) -> float:
        """Return the Unix seconds of a text.

        Raises:
            ValueError: The text is no time that this column would write.
        """
        if len(text) > LONGEST_NUMBER:
            raise ValueError(f"time {text[:40]!r} is in no known format")
        try:
            seconds = self._seconds(text)
        except OverflowError:
            raise ValueError(f"time {text[:40]!r} is not between the years 1800 and 2200") from None
        if not (math.isfinite(seconds) and EARLIEST <= seconds < LATEST):
            hint = "; milliseconds? divide by 1000" if self.number == "s" and seconds >= LATEST else ""
            raise ValueError(f"time {text[:40]!r} is not between the years 1800 and 2200{hint}")
        return seconds

    def column(self, texts: Sequence[str | None]) -> list[float] | None:
        """Return the Unix seconds of a whole column at once; None if it must be read text by text.

        Arrow reads ISO 8601 and numbers ten times as fast as Python.
        """
        import pyarrow as pa
        from pyarrow.lib import ArrowException

        if self.pattern or self.number not in ("", "s", "unix"):
            return None
        column = pa.array(texts, pa.string())
        try:
            if self.number:
                seconds = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
                # Other numbers, such as 20140107, and other units are read one by one.
                is_plain = (seconds >= PLAUSIBLE) & (seconds < LARGEST_SECONDS)
            else:
                has_zone = bool(texts) and bool(_ZONE_AT_END.search(texts[0] or ""))
                if not has_zone and self.zone is not UTC:
                    return None
                moments = column.cast(pa.timestamp("us", "UTC" if has_zone else None)).cast(pa.int64())
                seconds = moments.to_numpy(zero_copy_only=False) / 1e6
                is_plain = (seconds >= EARLIEST) & (seconds < LATEST)
        except ArrowException:
            return None
        return seconds.tolist() if bool(is_plain.all()) else None

    def _seconds(self, text: str) -> float:
        if self.pattern:
            try:
                return self._in_zone(datetime.strptime(text.strip(), self.pattern))
            except ValueError:
                raise ValueError(f"time {text[:40]!r} does not have the form {self.pattern}") from None
        try:
            # Most logs write ISO 8601. A text of digits alone is no ISO time here: `20140107` may be a number.
            if not text.isdigit():
                return self._in_zone(datetime.fromisoformat(text))
        except ValueError:
            pass
        text = unicodedata.normalize("NFKC", text).strip()
        if _NUMBER.match(text):
            return self._number(text)
        return self._in_zone(_parsed(text, day_first=self.day_first, fixed=self.fixed_order))

    def _number(self, text: str) -> float:
        if re.fullmatch(r"(?:18|19|20|21)\d\d", text) and not self.number:
            return self._in_zone(datetime(int(text), 1, 1))
        if _COMPACT.match(text) and (self.number == "compact" or (self.number == "unix" and len(text) in (8, 14))):
            digits = text.partition(".")[0]
            pattern = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[len(digits)]
            try:
                return self._in_zone(datetime.strptime(digits, pattern))
            except ValueError:
                raise ValueError(f"time {text[:40]!r} is no date of the calendar") from None
        number = float(text.replace(",", "."))
        unit = _unit(number) if self.number == "unix" else self.number
        if unit in NUMBERS:
            seconds = NUMBERS[unit](number)
            # Excel has no zone: its days are local.
            return self._in_zone(datetime(1970, 1, 1) + timedelta(seconds=seconds)) if unit == "excel" else seconds
        raise ValueError(f"time {text[:40]!r} is a number of unknown meaning: say which with --time-format")

    def _in_zone(self, moment: datetime) -> float:
        return (moment if moment.tzinfo else moment.replace(tzinfo=self.zone)).timestamp()


def style_given(words: str, zone: tzinfo) -> TimeStyle | None:
    """Return the style that `--time-format` names; None for the order of day and month, which leaves the rest open.

    Raises:
        ConfigError: It is neither a known word nor a pattern.
    """
    if words in NUMBERS:
        return TimeStyle(number=words, zone=zone)
    if words in ("unix", "seconds"):
        return TimeStyle(number="s", zone=zone)
    if words in ("day-first", "month-first"):
        return None
    if "%" not in words:
        raise ConfigError(
            f"--time-format {words!r}: give a pattern such as '%d.%m.%Y %H:%M', or one of {', '.join(WORDS)}"
        )
    try:
        datetime.strptime("", words)
    except ValueError as error:
        if "bad directive" in str(error) or "stray" in str(error):
            raise ConfigError(f"--time-format {words!r}: {error}") from None
    except re.error as error:
        raise ConfigError(f"--time-format {words!r}: {error}") from None
    return TimeStyle(pattern=words, zone=zone)


def is_time(text: str) -> bool:
    """Return whether a text is a time in any style. A number counts if it is plausible as one."""
    try:
        return guessed_style([text]).seconds(text) >= PLAUSIBLE
    except ValueError:
        return False


def is_local(text: str) -> bool:
    """Return whether a text is a date with a clock and without a zone."""
    offset, rest = _offset(unicodedata.normalize("NFKC", text).strip())
    return offset is None and not _NUMBER.match(rest) and not rest.endswith(("Z", "z")) and _clock(rest) is not None


def guessed_style(
    texts: Sequence[str], zone: tzinfo = UTC, day_first: bool | None = None, *, fixed: bool = False
) -> TimeStyle:
    """Return the style of a column.

    Args:
        texts: Its first texts.
        zone: The zone of its local times.
        day_first: The order of day and month, if it is known.
        fixed: Whether the user gave that order.

    Raises:
        ValueError: The numbers of the column are no plausible times. The message says what they may be.
    """
    present = [text.strip() for text in texts if not is_absent(text)]
    order = day_first if day_first is not None else day_comes_first(present)
    return TimeStyle(_meaning_of_numbers(present), True if order is None else order, fixed, zone=zone)


def _meaning_of_numbers(texts: Sequence[str]) -> str:
    numeric = [text for text in texts if _NUMBER.match(text)]
    if not numeric:
        return ""
    if sum(bool(_COMPACT.match(text)) for text in numeric) > 0.9 * len(numeric):
        return "compact"
    numbers = [float(text.replace(",", ".")) for text in numeric]
    if all(1800 <= number < 2200 for number in numbers):
        return ""  # years
    middle = median(abs(number) for number in numbers)
    days = [number for number in numbers if EXCEL_DAYS[0] <= number <= EXCEL_DAYS[1]]
    if len(days) > 0.9 * len(numbers):
        return "excel"
    if middle < IN_JANUARY_1970 and len(numeric) * 2 < len(texts):
        return ""  # the column writes dates; its few numbers are rejected
    if UNIX_DAYS[0] <= middle <= UNIX_DAYS[1]:
        first = next(number for number in numbers if UNIX_DAYS[0] <= number <= UNIX_DAYS[1])
        day = datetime(1970, 1, 1) + timedelta(days=first)
        raise ValueError(
            f"time: {first:g} as Unix seconds is in January 1970. It may count days ({day:%-d %B %Y}): then give "
            "--time-format days, otherwise --time-format s"
        )
    if middle < IN_JANUARY_1970 and len(numbers) >= LEAST_NUMBERS:
        raise ValueError(
            f"time: {numbers[0]:g} as Unix seconds is in January 1970, and so are the others. If that is right, give "
            "--time-format s"
        )
    return "unix"


def _unit(number: float) -> str:
    """Return the unit of a Unix time. The units do not overlap between 1973 and 5138."""
    return next((unit for unit, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if abs(number) < limit), "ns")


def day_comes_first(texts: Iterable[str]) -> bool | None:
    """Return whether texts such as `3/4/2024` have the day first; None if they leave it open.

    A number past 12 settles it. Otherwise a column that is sorted in one reading only settles it. Dots are German,
    French or Russian, which all have the day first; a clock of twelve hours is American.
    """
    pairs: list[tuple[int, int, int]] = []
    votes = {True: 0, False: 0}
    dots = halves = 0
    for text in texts:
        match = _YEAR_LAST.match(text)
        if not match:
            continue
        first, second = int(match[1]), int(match[3])
        votes[True] += first > 12 >= second
        votes[False] += second > 12 >= first
        dots += match[2] == "."
        halves += bool(re.search(r"\d\s?[ap]\.?m", text, re.I))
        if len(pairs) < 100_000:
            pairs.append((_full_year(match[4]), first, second))
    if votes[True] != votes[False]:
        return votes[True] > votes[False]
    if not pairs:
        return None
    if dots * 2 > len(pairs):
        return True
    day_first = sum(
        a > b for a, b in zip(_dates(pairs, day_first=True), _dates(pairs, day_first=True)[1:], strict=False)
    )
    month_first = sum(
        a > b for a, b in zip(_dates(pairs, day_first=False), _dates(pairs, day_first=False)[1:], strict=False)
    )
    if day_first != month_first and min(day_first, month_first) == 0:
        return day_first < month_first
    return False if halves * 2 > len(pairs) else None


def _dates(pairs: Sequence[tuple[int, int, int]], *, day_first: bool) -> list[tuple[int, int, int]]:
    return [(year, b, a) if day_first else (year, a, b) for year, a, b in pairs]


def _full_year(text: str) -> int:
    return int(text) if len(text) == 4 else int(text) + (2000 if int(text) < 70 else 1900)


def _parsed(text: str, *, day_first: bool, fixed: bool = False) -> datetime:
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
    date = _YEAR_FIRST.match(text) or _YEAR_LAST.match(text)
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
    elif match := _YEAR_LAST.match(text):
        rest = text[match.end() :]
        first, second = int(match[1]), int(match[3])
        # A day past 12 shows itself, also in a column of the other order.
        if not fixed and (first if not day_first else second) > 12 >= (second if not day_first else first):
            day_first = not day_first
        year, month, day = _full_year(match[4]), second if day_first else first, first if day_first else second
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
    return _full_year(year), months[0], int(day)
