"""Times of a log: how a column writes them, and their values.

A text such as `3/4/2024` or `20140107` cannot be read alone. The column decides: whether the day comes first, and
what its numbers mean.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from statistics import median

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.cells import LONGEST_NUMBER, is_absent
from whimbrel.tools.sources.dates import YEAR_LAST, full_year, parsed_date
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
        return self._in_zone(parsed_date(text, day_first=self.day_first, fixed=self.fixed_order))

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
        match = YEAR_LAST.match(text)
        if not match:
            continue
        first, second = int(match[1]), int(match[3])
        votes[True] += first > 12 >= second
        votes[False] += second > 12 >= first
        dots += match[2] == "."
        halves += bool(re.search(r"\d\s?[ap]\.?m", text, re.I))
        if len(pairs) < 100_000:
            pairs.append((full_year(match[4]), first, second))
    if votes[True] != votes[False]:
        return votes[True] > votes[False]
    if not pairs:
        return None
    if dots * 2 > len(pairs):
        return True
    day_first, month_first = (_steps_back(pairs, day_first=order) for order in (True, False))
    if day_first != month_first and min(day_first, month_first) == 0:
        return day_first < month_first
    return False if halves * 2 > len(pairs) else None


def _steps_back(pairs: Sequence[tuple[int, int, int]], *, day_first: bool) -> int:
    """Count how often a date is earlier than the one before it. A pair is a year and two numbers."""
    dates = [(year, b, a) if day_first else (year, a, b) for year, a, b in pairs]
    return sum(earlier > later for earlier, later in pairwise(dates))
