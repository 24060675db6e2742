"""The timeline: periods of a history, shifts predicted on the way, in JSON, in a terminal and in a picture."""

import io
import json
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from whimbrel.agent import Agent, ConfigError, DataError, Interaction, Shift, Timeline
from whimbrel.agent.cli.main import main
from whimbrel.agent.display.timeline_plot import draw, picture_format, write_plot
from whimbrel.agent.display.timeline_text import timeline as shown
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.agent.shift.timeline import MOST_PERIODS, UNITS, timeline_of
from whimbrel.tools.timestamps import parse_time, zone_of

AT = "2020-10-17T12:26:40Z"
START = parse_time("2020-01-06")
DAY = 86_400.0


def event(time: float, *topics: str) -> Interaction:
    return Interaction(user_id="u", item_id=str(time), title="Thing", topics=topics, time=time)


def made(history: Sequence[Interaction], at: float | None = None) -> Timeline:
    end = history[-1].time + 1 if history else START
    at = end if at is None else at
    present = predict_shift([item for item in history if item.time < at], ShiftQuery(at=at))
    return timeline_of(history, present, user_id="u", at=at)


def turning() -> list[Interaction]:
    """Tea on 324 days, then cups on 36."""
    return [event(START + day * DAY, "Cups" if day >= 324 else "Tea") for day in range(360)]


def printed(found: Timeline, *, width: int = 80) -> str:
    """As in a pipe."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(shown(found, width=width, coloured=False))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


histories = st.lists(
    st.tuples(
        st.floats(min_value=0, max_value=4e9, allow_nan=False).map(float),
        st.lists(st.sampled_from("abcdefghijkl"), max_size=3, unique=True),
    ),
    max_size=40,
).map(lambda drawn: [event(time, *topics) for time, topics in sorted(drawn)])


@settings(deadline=None)
@given(histories)
def test_periods_add_up_to_the_history(history: list[Interaction]) -> None:
    found = made(history)
    assert found.events == len(history)
    assert len(found.periods) <= MOST_PERIODS
    for topic in "abcdefghijkl":
        held = sum(1 / len(item.topics) for item in history if topic in item.topics)
        told = sum(period.topics.get(topic, 0) * period.events for period in found.periods)
        assert told == pytest.approx(held, abs=1e-6 * len(history) + 1e-9)
    for earlier, later in zip(found.periods, found.periods[1:], strict=False):
        assert earlier.start < earlier.end <= later.start
        assert found.unit == "session" or earlier.end == later.start


@settings(deadline=None)
@given(histories, st.floats(min_value=0, max_value=4e9))
def test_nothing_at_or_after_the_moment_counts(history: list[Interaction], at: float) -> None:
    found = made(history, at)
    assert found == made([item for item in history if item.time < at], at)
    assert all(period.end <= at for period in found.periods)


def test_each_shift_is_the_one_predicted_from_what_was_known_at_the_end_of_its_period() -> None:
    history = turning()
    found = made(history)
    for period in found.periods:
        known = [item for item in history if item.time < period.end]
        cut = predict_shift(known, ShiftQuery(at=None))
        assert period.shift == cut.shift
    assert any(period.shifts for period in found.periods)


@pytest.mark.parametrize(
    ("times", "unit", "periods"),
    [
        ([0], "minute", 1),
        ([0, 30], "minute", 1),
        ([0, 60 * 20], "minute", 21),
        ([0, 7 * DAY, 300 * DAY], "session", 3),
        ([n * 60 for n in range(100)], "5 minutes", 20),
        ([n * DAY for n in range(30)], "day", 30),
        ([n * DAY for n in range(0, 200, 7)], "week", 29),
        ([n * DAY for n in range(366)], "2 weeks", 27),
        ([n * DAY for n in range(366 * 2)], "month", 25),
        ([n * DAY * 30 for n in range(100)], "quarter", 33),
    ],
)
def test_the_unit_of_periods_follows_the_length_of_the_history(times: list[float], unit: str, periods: int) -> None:
    found = made([event(START + time, "Tea") for time in times])
    assert (found.unit, len(found.periods)) == (unit, periods)


def test_units_of_time_begin_where_the_calendar_does() -> None:
    begun = {unit.name: unit.start(unit.number(parse_time("2021-11-17T13:47:31Z"))) for unit in UNITS}
    told = {name: f"{datetime.fromtimestamp(start, tz=UTC):%Y-%m-%d %H:%M}" for name, start in begun.items()}
    assert told["15 minutes"] == "2021-11-17 13:45"
    assert told["6 hours"] == "2021-11-17 12:00"
    assert told["week"] == "2021-11-15 00:00"
    assert told["quarter"] == "2021-10-01 00:00"
    assert told["decade"] == "2020-01-01 00:00"


def test_empty_periods_are_kept_and_share_a_line() -> None:
    history = [event(START + day * DAY, "Tea") for day in (*range(13), 30)]
    found = made(history)
    assert [period.events for period in found.periods] == [1] * 13 + [0] * 17 + [1]
    assert not any(period.shifts for period in found.periods if not period.events)
    assert "17 without events" in printed(found)


def test_fifty_thousand_events_are_bounded_work() -> None:
    random = np.random.default_rng(0)
    plain = [event(START + n * 600, f"topic {topic}") for n, topic in enumerate(random.integers(0, 20, 50_000))]
    started = time.process_time()
    found = made(plain)
    assert time.process_time() - started < 6, "about 2 s on an idle core"
    assert found.events == 50_000


def test_the_present_context_bears_on_the_present_alone(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        plain = agent.timeline("u1", AT)
        wished = agent.timeline("u1", AT, {"query": "furniture"})
        elsewhere = agent.timeline("u1", AT, {"place": "moon"})
        assert wished.shift.kind == "contextual"
        assert wished.periods == plain.periods == elsewhere.periods
        assert plain.shift == agent.recommend("u1", AT).shift
        assert elsewhere.warnings == ("no event of this user has place moon, so it changes nothing",)
        with pytest.raises(DataError, match="no user 'nobody'"):
            agent.timeline("nobody", AT)


@pytest.mark.parametrize(
    "history",
    [[], [event(START, "Tea")], [event(START)], turning(), [event(START + n * DAY) for n in range(20)]],
    ids=["none", "one", "one without topics", "turning", "without topics"],
)
def test_any_history_can_be_shown_and_drawn(history: list[Interaction]) -> None:
    found = made(history)
    assert "Interest shift as of" in printed(found)
    ElementTree.fromstring(draw(found, "svg"))
    assert draw(found, "png").startswith(b"\x89PNG\r\n\x1a\n")


def test_a_line_stays_within_the_terminal_and_tells_its_topics_without_colour() -> None:
    history = [
        event(START + day * DAY, *(f"A rather long topic {n}" for n in range(day % 11 + 1))) for day in range(99)
    ]
    for width in (40, 80, 110):
        assert max(map(len, printed(made(history), width=width).splitlines())) <= width
    found = made(turning())
    text = printed(found)
    legend = text.splitlines()[1]
    assert legend.split() == ["A", "90%", "Tea", "B", "10%", "Cups"]
    (last,) = [period for period in found.periods if period.end == found.at]
    assert "B100%-" in text
    assert f"▲ temporal {int(last.shift.confidence * 100)}% to B" in text


def test_a_picture_names_the_topics_and_the_shifts(tmp_path: Path) -> None:
    found = made(turning())
    write_plot(found, tmp_path / "interest.SVG")
    picture = "".join(ElementTree.parse(tmp_path / "interest.SVG").getroot().itertext())
    for words in (
        "A  Tea  90%",
        "B  Cups  10%",
        "temporal shift",
        f"now: temporal {int(found.shift.confidence * 100)}%",
    ):
        assert words in picture
    assert "6 Jan 2020" in picture
    write_plot(found, tmp_path / "interest.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["interest.SVG", "interest.png"]
    assert draw(found, "svg") == draw(found, "svg")


def test_names_in_any_letters_are_drawn_as_they_are() -> None:
    names = ["茶与咖啡", "$x_1$ & <b>", "_hidden", "🍵", "a\\frac"]
    found = made([event(START + n * DAY, names[n % 5]) for n in range(50)])
    picture = "".join(ElementTree.fromstring(draw(found, "svg")).itertext())
    assert all(name in picture for name in names)
    assert draw(found, "png")


def test_only_svg_and_png_are_drawn(tmp_path: Path) -> None:
    assert (picture_format(tmp_path / "a.png"), picture_format(tmp_path / "a.svg")) == ("png", "svg")
    with pytest.raises(ConfigError, match=r"ends in \.svg or \.png"):
        picture_format(tmp_path / "a.pdf")
    with pytest.raises(ConfigError, match="there is no folder"):
        picture_format(tmp_path / "none" / "a.svg")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["whimbrel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def test_the_command_prints_one_document(run: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path) -> None:
    picture = tmp_path / "u1.svg"
    status, out, _ = run("shift", "u1", "--store", shop, "--at", AT, "--plot", picture, "--json")
    assert status == 0
    document = json.loads(out)
    assert list(document) == ["user_id", "at", "shift", "timeline", "topics", "moves", "outlook"]
    assert (document["user_id"], document["at"]) == ("u1", AT)
    Shift.model_validate(document["shift"])
    for period in document["timeline"]:
        assert list(period) == ["from", "to", "events", "topics", "shift"]
        assert parse_time(period["from"]) < parse_time(period["to"]) <= parse_time(AT)
        assert sum(period["topics"].values()) == pytest.approx(1, abs=0.01)
        Shift.model_validate(period["shift"])
    assert sum(period["events"] for period in document["timeline"]) == 68
    assert Timeline.model_validate_json(out).events == 68
    assert "Garden" in picture.read_text()


def test_the_command_shows_lines_and_refuses_what_it_cannot_do(
    run: Callable[..., tuple[int, str, str]], shop: Path, tmp_path: Path
) -> None:
    status, out, _ = run("shift", "u1", "--store", shop, "--at", AT, "--plot", tmp_path / "a.png")
    assert status == 0
    assert "User u1: 68 events, 13 September 2020 to 16 October 2020, by day" in out
    assert "Interest shift as of" in out
    assert f"Drawn in {tmp_path / 'a.png'}" in out
    for arguments, words in (
        (["u1", "--store", shop, "--plot", tmp_path / "a.pdf"], "ends in .svg or .png"),
        (["nobody", "--store", shop], "no user 'nobody'"),
    ):
        status, out, told = run("shift", *arguments)
        assert (status, out) == (1, "")
        assert words in told


def test_periods_begin_and_end_on_a_clock_of_the_zone() -> None:
    zone = zone_of("Asia/Shanghai")
    for unit in (UNITS[3], UNITS[5], UNITS[6], UNITS[8]):  # hour, day, week, month
        moment = datetime(2024, 3, 31, 20, 30, tzinfo=UTC).timestamp()  # 1 April, 4:30, in Shanghai
        start = datetime.fromtimestamp(unit.start(unit.number(moment, zone), zone), tz=zone)
        assert (start.month, start.day, start.hour) == (4, 1, 4 if unit.name == "hour" else 0), unit.name
        assert unit.start(unit.number(moment, zone), zone) <= moment < unit.start(unit.number(moment, zone) + 1, zone)
