"""Times of logs: each form has one value, and a column decides what a text alone leaves open."""

import pytest

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.times import guessed_style, style_given
from whimbrel.tools.timestamps import iso, zone_of

MOMENT = "2014-01-02T08:19:53Z"


@pytest.mark.parametrize(
    "text",
    [
        "2014-01-02T08:19:53Z",
        "2014-01-02 08:19:53",
        "2014-01-02 08:19:53 UTC",
        "2014-01-02 10:19:53+0200",
        "2014-01-02 16:19:53 UTC+8",
        "Thu, 02 Jan 2014 08:19:53 +0000",
        "Thu Jan 02 01:19:53 -0700 2014",
        "Thu Jan 02 08:19:53 UTC 2014",
        "1388650793",
        "1388650793.0",
        "1.388650793E9",
        "1388650793000",
        "1388650793000000",
        "1388650793000000000",
        "20140102081953",
        "20140102T081953Z",
        "02.01.2014 08:19:53",
        "02/01/14 8:19:53",
        "2 January 2014 08:19:53",
        "2. Januar 2014, 8:19:53 Uhr",
        "2 janvier 2014 08:19:53",
        "2 de enero de 2014 08:19:53",
        "Jan 2, 2014 8:19:53 AM",
        "2014年1月2日 8:19:53",
        "2014/1/2 上午8:19:53",
        "41641.3471412",
        "2014-01-02 08.19.53",
        "2014-01-02 03:19:53 EST",
    ],
)
def test_every_form_of_a_moment_is_read(text: str) -> None:
    assert iso(round(guessed_style([text]).seconds(text))) == MOMENT


@pytest.mark.parametrize(
    ("column", "times"),
    [
        (["3/4/2024", "25/4/2024"], ["2024-04-03", "2024-04-25"]),
        (["3/4/2024", "4/25/2024"], ["2024-03-04", "2024-04-25"]),
        (["1/2/2014 8:19", "1/3/2014 7:00", "2/1/2014 9:00"], ["2014-01-02", "2014-01-03", "2014-02-01"]),
        (["03.04.2024", "2024-05-01"], ["2024-04-03", "2024-05-01"]),
        (["20140107", "20141231"], ["2014-01-07", "2014-12-31"]),
        (["43831", "43832.5"], ["2020-01-01", "2020-01-02"]),
        (["2017", "2018"], ["2017-01-01", "2018-01-01"]),
        (["1388650793", "1388650793000", "2014-01-02"], ["2014-01-02"] * 3),
    ],
)
def test_the_column_decides_what_a_text_leaves_open(column: list[str], times: list[str]) -> None:
    style = guessed_style(column)
    assert [iso(style.seconds(text))[:10] for text in column] == times


@pytest.mark.parametrize("column", [["16072", "16073"], [str(number) for number in range(1, 40)]])
def test_numbers_that_are_no_times_are_questioned(column: list[str]) -> None:
    with pytest.raises(ValueError, match="January 1970"):
        guessed_style(column)


@pytest.mark.parametrize("text", ["yesterday", "08:15", "31/31/2013", "20140231", "2014-13-01", "12", ""])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        guessed_style(["20140107", "2014-01-02"]).seconds(text)


def test_local_times_follow_summer_time() -> None:
    berlin = zone_of("Europe/Berlin")
    style = guessed_style(["07.01.2014 12:00"], berlin)
    assert iso(style.seconds("07.01.2014 12:00")) == "2014-01-07T11:00:00Z"
    assert iso(style.seconds("07.07.2014 12:00")) == "2014-07-07T10:00:00Z"
    assert iso(style.seconds("2014-07-07 12:00+00:00")) == "2014-07-07T12:00:00Z"


@pytest.mark.parametrize(
    "column",
    [
        ["2014-01-02T08:19:53Z", "2014-07-02T08:19:53+02:00"],
        ["2014-01-02 08:19:53", "2014-07-02"],
        ["1388650793", "1388650793.5"],
    ],
)
def test_a_column_read_at_once_is_that_read_text_by_text(column: list[str]) -> None:
    style = guessed_style(column)
    assert style.column(column) == [style.seconds(text) for text in column]
    assert style.column([*column, "soon"]) is None
    assert guessed_style(column, zone_of("Asia/Tokyo")).column(["2014-01-02 08:19:53"]) is None


@pytest.mark.parametrize("words", ["%Q", "quickly", "%"])
def test_a_time_format_of_nonsense_is_an_error(words: str) -> None:
    with pytest.raises(ConfigError, match="--time-format"):
        style_given(words, zone_of("UTC"))


def test_an_unknown_zone_is_an_error() -> None:
    for name in ("Berlin!", "../etc/passwd", "+99:00"):
        with pytest.raises(ConfigError, match="--timezone"):
            zone_of(name)
