"""Answers in a notebook: nothing of a catalogue is markup, and what a person needs is there."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from whimbrel.agent import Agent, CitedEvent, Recommendation, Recommendations, Shift
from whimbrel.agent.chat.reading import Question
from whimbrel.agent.chat.state import TalkState
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.schema.results import RequestUsage
from whimbrel.agent.shift.timeline import Period, Timeline
from whimbrel.tools.conditions import Condition

HOSTILE = """<script>alert("1")</script><img src=x onerror='alert(2)'>"""
AT = 1_600_000_000 + 34 * 86_400
EVENT = CitedEvent(event_id="e", item_id="i", title=HOSTILE, time=AT - 60.0, event=HOSTILE)
SHIFT = Shift(
    kind="temporal", from_topics=(HOSTILE,), to_topics=(HOSTILE,), confidence=0.7, evidence=(EVENT,), reason=HOSTILE
)
ENTRY = Recommendation(
    rank=1,
    item_id=HOSTILE,
    title=HOSTILE,
    score=1.0,
    explanation=HOSTILE,
    evidence=(EVENT,),
    signals={HOSTILE: 1.0},
    disclosures=(HOSTILE,),
)
LIST = Recommendations(
    user_id=HOSTILE,
    at=AT,
    summary=HOSTILE,
    shift=SHIFT,
    recommendations=(ENTRY,),
    usage=RequestUsage(),
    warnings=(HOSTILE,),
    path=(HOSTILE,),
)
PERIODS = tuple(
    Period(
        start=AT - 86_400 * n, end=AT - 86_400 * (n - 1), events=n % 3, topics={HOSTILE: 0.5, "Tea": 0.25}, shift=SHIFT
    )
    for n in (5, 4, 3, 2, 1)
)
TIMELINE = Timeline(user_id=HOSTILE, at=AT, shift=SHIFT, periods=PERIODS, unit="day", warnings=(HOSTILE,))
TURN = Turn(
    "want",
    words=HOSTILE,
    state=TalkState(
        wants=(HOSTILE,), refused=(HOSTILE,), conditions=(Condition(field=HOSTILE[:40], op="==", value=HOSTILE),)
    ),
    question=Question(kind="narrow", field="x", text=HOSTILE),
    recommendations=LIST,
    fields={HOSTILE: {HOSTILE: HOSTILE, "year": 2013.0}},
    disclosures={HOSTILE: (HOSTILE,)},
    warnings=(HOSTILE,),
)
SHOWN = {"shift": SHIFT, "list": LIST, "timeline": TIMELINE, "turn": TURN}


class Reader(HTMLParser):
    """Collects the tags and attributes of a page, and checks that all tags are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", SHOWN)
def test_no_text_becomes_markup_and_nothing_is_loaded(name: str) -> None:
    page = SHOWN[name]._repr_html_()
    read = Reader(page)
    assert HOSTILE in read.words
    allowed = {"div", "p", "table", "caption", "thead", "tbody", "tr", "th", "td", "b", "i", "br", "span"}
    assert read.tags <= allowed
    assert read.attributes <= {"style", "class", "scope", "title"}  # no handler, no address
    assert not re.search(r"url\(|https?:|@import", page)
    assert 'class="tex2jax_ignore mathjax_ignore"' in page  # "$5 or $6" is no formula


@pytest.mark.parametrize("name", SHOWN)
def test_colours_are_those_of_the_page(name: str) -> None:
    """Text without a background of its own has no colour of its own, so it is readable on light and dark pages."""
    for style in re.findall(r'style="([^"]*)"', SHOWN[name]._repr_html_()):
        rules = dict(rule.split(":", 1) for rule in style.split(";") if rule)
        own = rules.get("color", "inherit")
        assert own == "inherit" or rules["background"].startswith("#")


@pytest.fixture
def agent(shop: Path) -> Iterator[Agent]:
    with Agent.open(shop, llm="none") as agent:
        yield agent


def test_a_list_shows_reasons_and_the_events_that_they_cite(agent: Agent) -> None:
    answer = agent.recommend("u1", AT + 86_400, k=3)
    page = unescape(answer._repr_html_())
    assert answer.recommendations
    for entry in answer.recommendations:
        assert entry.title in page
        assert entry.explanation in page
        assert all(event.title in page for event in entry.evidence)
    assert answer.shift.reason in page


def test_a_list_is_a_frame_with_a_row_for_each_item(agent: Agent) -> None:
    answer = agent.recommend("u1", AT + 86_400, k=3)
    frame = answer.to_polars()
    assert frame["title"].to_list() == [entry.title for entry in answer.recommendations]
    assert frame["rank"].to_list() == list(range(1, len(answer.recommendations) + 1))
    signals = frame.select("^signal\\..*$").sum_horizontal().to_list()
    assert signals == pytest.approx([entry.score for entry in answer.recommendations])
    assert str(frame["at"].dtype.time_zone) == "UTC"
    assert answer.to_pandas()["explanation"].tolist() == [entry.explanation for entry in answer.recommendations]


def test_a_timeline_shows_each_period_with_events(agent: Agent) -> None:
    timeline = agent.timeline("u1", AT + 86_400)
    page = timeline._repr_html_()
    with_events = [period for period in timeline.periods if period.events]
    gaps = page.count("without events")
    assert page.count("<tr") == 1 + len(with_events) + gaps + page.count("<tr", page.rindex("<table"))
    frame = timeline.to_pandas()
    assert frame["events"].sum() == timeline.events
    assert [name.removeprefix("topic.") for name in frame if name.startswith("topic.")] == list(timeline.leading())


def test_a_weak_shift_is_no_headline() -> None:
    page = SHIFT.model_copy(update={"confidence": 0.3})._repr_html_()
    assert "No clear interest shift" in page
    assert "maybe to" in page
    assert "70%" in SHIFT._repr_html_()
    assert "temporal" in SHIFT._repr_html_()


def test_somebody_new_without_events_is_shown() -> None:
    shift = Shift(kind="none", reason="Nothing is known.")
    page = Timeline(user_id="u", at=AT, shift=shift, periods=())._repr_html_()
    assert "Nothing is known." in page
    assert "0%" not in page
    empty = LIST.model_copy(update={"recommendations": (), "user_id": ""})
    assert "Somebody new" in empty._repr_html_()
    assert "rank" in empty.to_polars().columns
