"""Times: every form of one moment is one number, and what is no time is refused."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.tools.timestamps import EARLIEST, LATEST, hour_of, is_weekend, iso, parse_time

MOMENTS = st.datetimes(datetime(1800, 1, 2), datetime(2199, 12, 30))


@pytest.mark.parametrize(
    "value",
    [
        1496340000,
        "1496340000",
        "2017-06-01T18:00:00Z",
        "2017-06-01 20:00+02:00",
        datetime(2017, 6, 1, 18),
        datetime(2017, 6, 1, 14, tzinfo=timezone(timedelta(hours=-4))),
    ],
)
def test_every_form_of_a_moment_is_the_same_number_of_seconds(value: object) -> None:
    assert parse_time(value) == 1496340000.0


def test_a_text_of_four_or_eight_digits_is_a_date() -> None:
    assert parse_time("2017") == parse_time("20170101") == datetime(2017, 1, 1, tzinfo=UTC).timestamp()
    assert parse_time(2017) == 2017.0


@given(MOMENTS)
def test_iso_is_read_back_and_hours_and_weekends_are_those_of_the_calendar(moment: datetime) -> None:
    seconds = moment.replace(tzinfo=UTC).timestamp()
    assert parse_time(iso(seconds)) == pytest.approx(seconds, abs=1e-6)
    second = moment.replace(microsecond=0, tzinfo=UTC)
    times = np.array([second.timestamp()])
    assert hour_of(times).tolist() == [second.hour]
    assert is_weekend(times).tolist() == [second.weekday() >= 5]


@pytest.mark.parametrize("value", [None, True, "", "yesterday", "nan", float("inf"), 10**400, LATEST, EARLIEST - 1])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="time"):
        parse_time(value)


def test_milliseconds_are_recognised() -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        parse_time(1496340000_000)
