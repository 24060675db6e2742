"""A summary tells the intents of the latest session."""

import pytest

from whimbrel.agent.profile.segment import segments
from whimbrel.agent.profile.summarise import summarise
from whimbrel.tools.records import Item

SHOES = ["Leather hiking boots", "Waterproof hiking boots", "Hiking boots for women", "Suede hiking boots"]
CABLES = ["HDMI cable 2 m", "HDMI cable gold plated", "HDMI to DVI cable", "HDMI cable 5 m"]


def session(titles: list[str], *, start: float = 0.0, apart: float = 60.0) -> list[Item]:
    return [
        Item(title=title, topics=("Shoes",) if title in SHOES else ("Cables",), time=start + apart * place)
        for place, title in enumerate(titles)
    ]


def test_a_session_is_cut_where_its_intent_changes() -> None:
    found = segments(session([*SHOES, *CABLES]))
    assert [[item.title for item in part] for part in found] == [SHOES, CABLES]


def test_the_summary_tells_the_intents_of_the_latest_session_in_order() -> None:
    earlier = session(CABLES, start=-1e6)
    found = summarise([*earlier, *session([*SHOES, *CABLES])], None)
    assert [part[0].topics for part in found.intents] == [("Shoes",), ("Cables",)]
    assert found.text.endswith("In the latest session: Shoes, then Cables.")
    assert (
        "最近一次会话：Shoes，然后是Cables。"
        in summarise([*earlier, *session([*SHOES, *CABLES])], None, language="zh").text
    )


@pytest.mark.parametrize("apart", [0.0, 1e6])
def test_neither_a_basket_nor_events_of_different_sessions_are_cut(apart: float) -> None:
    history = session([*SHOES, *CABLES], apart=apart)
    assert len(summarise(history, None).intents) == 1
    assert "session" not in summarise(history, None).text
