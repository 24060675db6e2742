"""A conversation: what is said narrows the list, and nothing said can break it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Recommendation, Recommendations, RequestUsage, Shift
from whimbrel.agent.schema.wishes_and_refusals import read_wish
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory

AT = 1_600_000_000 + 34 * 86_400


@pytest.fixture(scope="module")
def agent(shop: Path) -> Iterator[Agent]:
    with Agent.open(shop, llm="none") as agent:
        yield agent


@pytest.fixture
def session(agent: Agent) -> Session:
    session = agent.chat("u5", AT)
    session.open()
    return session


def titles(answer: Turn) -> list[str]:
    assert answer.recommendations is not None
    return [entry.title for entry in answer.recommendations.recommendations]


@pytest.mark.parametrize(
    ("words", "want", "refused"),
    [
        ("something for a birthday, no snacks", "something for a birthday", ("snacks",)),
        ("a film, no horror or war", "a film", ("horror", "war")),
        ("anything but tea", "", ("tea",)),
        ("I want a rake", "a rake", ()),
        ("nothing", "nothing", ()),
        ("I do not want horror", "", ("horror",)),
        ("I don\u2019t like ham, a comedy", "a comedy", ("ham",)),
        ("I can not wait for horror", "can not wait for horror", ()),
        ("a film, not too long", "a film, not too long", ()),
        ("I am in the mood for a western", "a western", ()),
        ("", "", ()),
    ],
)
def test_a_wish_is_what_is_wanted_and_what_is_refused(words: str, want: str, refused: tuple[str, ...]) -> None:
    assert read_wish(words) == (want, refused)


def test_a_wish_is_a_contextual_shift_that_leads_the_list(session: Session) -> None:
    answer = session.say("something for the garden")
    assert answer.recommendations is not None
    assert answer.recommendations.shift.kind == "contextual"
    assert answer.recommendations.shift.to_topics == ("Garden",)
    assert titles(answer)[0] in {"Garden hose", "Flower pot", "Rose seeds", "Rake"}


def test_what_is_refused_stays_away_until_reset(session: Session) -> None:
    assert any("table" in title for title in titles(session.say("a table")))
    refused = session.say("no furniture")
    assert not any("table" in title for title in titles(refused))
    assert "Furniture" in refused.words
    assert not any("table" in title for title in titles(session.say("/less garden")))
    assert any("table" in title for title in titles(session.say("/reset")))


def test_why_cites_events_and_more_brings_the_like(session: Session) -> None:
    first = titles(session.say("/reset"))
    why = session.say("/why 1")
    assert first[0] in why.words
    assert re.search(r"\w{3} \d+ \w+ 2020, \d\d:\d\d: bought '", why.words)
    assert "because" in why.words
    assert not re.search(r"[0-9a-f]{16}|score|[+-]\d\.\d\d", why.words)
    assert re.search(r"event [0-9a-f]{16}  2020-", why.figures)
    assert re.search(r"score \d+\.\d\d: \w+ [+-]\d\.\d\d", why.figures)
    assert why.recommendations is None
    more = session.say("/more 1")
    assert more.words == f"More like {first[0]}."
    assert titles(more)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/why 99", "There is no number 99: the list has 1 to 5"),
        ("/why", "no number (none given)"),
        ("/why ²", "no number ²"),
        ("/why " + "9" * 5000, "no number 9"),
        ("/more -1", "no number -1"),
        ("/less", "Less of what?"),
        ("/fly", "There is no command /fly"),
        ("", "Commands: /why 2"),
        ("/help", "Commands: /why 2"),
    ],
)
def test_a_line_that_cannot_be_followed_is_answered_and_changes_nothing(
    line: str, words: str, session: Session
) -> None:
    before = session.say("/why 1")
    answer = session.say(line)
    assert words in answer.words
    assert not answer.done
    assert session.say("/why 1") == before


@pytest.mark.parametrize(
    "line", ["x" * 100_000, "\x1b[31m\x00 [bold]tea[/]", "no " * 400, "((((", "no (tea[", "\ue0000\ue000", "🫖"]
)
def test_hostile_lines_are_answered(line: str, session: Session) -> None:
    answer = session.say(line)
    assert not answer.done
    assert answer.recommendations is not None or answer.words
    assert titles(session.say("/reset"))


TEA = Item(item_id="i", title="Tea")


def always(agent: Any) -> Callable[[], Any]:
    return lambda: agent


class Scripted:
    """An agent as far as a session needs it."""

    store = InMemory([TEA], InteractionLog.build([TEA], [(0.0, "u", "i", None)]), timed=True)

    def feedback(self, user_id: str, item_id: str, event: str, at: object = None) -> None:
        raise AssertionError("nothing was chosen")

    def recommend(self, user_id: str, at: object, context: Context, k: int) -> Recommendations:
        entry = Recommendation(
            rank=1,
            item_id="i",
            title="Tea",
            score=0.4,
            explanation="It is popular.",
            signals={"topics": 0.3, "shift": 0.1, "popularity": 0.5, "similarity": -0.45, "price": -0.05, "wish": 0.01},
        )
        shift = Shift(kind="none", reason="")
        return Recommendations(
            user_id=user_id, at=AT, summary="", shift=shift, recommendations=(entry,), usage=RequestUsage()
        )


def test_why_names_the_strongest_cause_first_and_what_speaks_against_it() -> None:
    session = Session(always(Scripted()), "u", at=AT, k=1)
    session.open()
    assert session.say("/why 1").words.splitlines() == [
        "Tea",
        "It is popular.",
        "Mostly because it is popular; also because its topics are likely to come next. "
        "Against it: other items are more similar to what you chose before.",
    ]


def test_a_session_speaks_its_language() -> None:
    session = Session(always(Scripted()), "u", at=AT, k=1, language="zh")
    session.open()
    lines = ("/why 1", "/why 9", "/less", "/less 茶", "/more 1", "/reset", "/fly", "hi", "一把铲子", "/quit")
    for line in lines:
        words = session.say(line).words.replace("Tea", "").replace("It is popular.", "")
        assert re.search("[\u4e00-\u9fff]", words), line
        assert not re.search("[A-Za-z]", re.sub(r"/\w+", "", words)), words


def test_quit_ends(session: Session) -> None:
    assert session.say("/quit").done


def test_somebody_new_gets_what_is_popular(agent: Agent) -> None:
    answer = agent.chat("", AT).open()
    assert titles(answer)
    assert answer.recommendations is not None
    assert answer.recommendations.shift.kind == "none"
