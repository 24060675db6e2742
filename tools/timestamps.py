"""Times: numbers of seconds since 1970 UTC inside the program, ISO 8601 outside."""

import math
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, PlainSerializer

from whimbrel.tools.errors import ConfigError

DAY_SECONDS = 24 * 3600
EARLIEST = datetime(1800, 1, 1, tzinfo=UTC).timestamp()
LATEST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
# Such a text is a year or a date without dashes (`2017`, `20170601`). It is not read as Unix seconds.
_DATE = re.compile(r"(?:18|19|20|21)\d\d(?:[01]\d[0-3]\d)?")


def parse_time(value: object) -> float:
    """Convert a time to seconds since 1970 UTC.

    Args:
        value: An ISO 8601 text, Unix seconds (number or text) or a `datetime`. Without a time zone it is read as UTC.

    Raises:
        ValueError: the value has no known format, is not finite, or is outside the years 1800 to 2200. Milliseconds
            are outside these years.

    Example:
        >>> parse_time("2017-06-01T18:00:00Z")
        1496340000.0
    """
    seconds = _seconds(value)
    if not (math.isfinite(seconds) and EARLIEST <= seconds < LATEST):
        hint = "; milliseconds? divide by 1000" if math.isfinite(seconds) and seconds >= LATEST else ""
        raise ValueError(f"time {value!r} is not between the years 1800 and 2200{hint}")
    return seconds


def _seconds(value: object) -> float:
    if isinstance(value, bool) or value is None:
        raise ValueError(f"time {value!r} is in no known format: give ISO 8601 or Unix seconds")
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    text = str(value).strip()
    if not _DATE.fullmatch(text):
        try:
            return float(text)
        except ValueError:
            pass
    try:
        moment = datetime.fromisoformat(f"{text}-01-01" if len(text) == 4 else text)
    except ValueError:
        raise ValueError(f"time {text[:40]!r} is in no known format: give ISO 8601 or Unix seconds") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def local_seconds(times: NDArray[np.float64], zone: tzinfo) -> NDArray[np.float64]:
    """Return times as a clock on the wall of a zone shows them: as seconds that read as UTC give its hour and day.

    Args:
        times: Times in Unix seconds, shape (n,).
        zone: The zone. Its summer time is followed.

    Example:
        >>> from zoneinfo import ZoneInfo
        >>> summer = parse_time("2017-06-01T18:00:00Z")
        >>> iso(local_seconds(np.array([summer]), ZoneInfo("Europe/Berlin"))[0])
        '2017-06-01T20:00:00Z'
    """
    if zone is UTC or not len(times):
        return times
    hours, row = np.unique(times // 3600, return_inverse=True)
    offsets = [datetime.fromtimestamp(hour * 3600, zone).utcoffset() or timedelta() for hour in hours.tolist()]
    return np.asarray(times + np.array([offset.total_seconds() for offset in offsets])[row])


def zone_of(name: str) -> tzinfo:
    """Return a time zone: `UTC`, a name such as `Europe/Berlin`, or an offset such as `+02:00`.

    Raises:
        ConfigError: There is no zone of this name.
    """
    match = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", name.strip())
    if match:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        if offset >= timedelta(days=1):
            raise ConfigError(f"--timezone: {name!r} is no offset of a zone")
        return timezone(offset if match[1] == "+" else -offset)
    try:
        return UTC if name.upper() == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"--timezone: no zone {name!r}: give one such as Europe/Berlin or +02:00") from None


def hour_of(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the hour of the day of each time, from 0 to 23, in UTC or as `local_seconds` gives it."""
    return np.asarray(times % DAY_SECONDS // 3600, dtype=np.int64)


def is_weekend(times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each time is on a Saturday or Sunday, in UTC or as `local_seconds` gives it."""
    return np.asarray((times // DAY_SECONDS + 3) % 7 >= 5)  # 1 January 1970 was a Thursday


def iso(seconds: float) -> str:
    """Format a time as ISO 8601 with `Z`. A fraction of a second is written only if it is not 0.

    Example:
        >>> iso(1496340000.0)
        '2017-06-01T18:00:00Z'
    """
    text = datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="auto")
    return text.replace("+00:00", "Z")


Time = Annotated[
    float,
    BeforeValidator(parse_time, json_schema_input_type=str | float),
    PlainSerializer(iso, return_type=str, when_used="json"),
]
