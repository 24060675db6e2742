"""A conversation is saved by name, resumed where it stood, and forgotten with its person."""

import asyncio
import os
import shutil
import stat
from html import unescape
from pathlib import Path

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.chat.saved_talks import MOST_KEPT, SavedTalk
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.timestamps import DAY_SECONDS

AT = 1_600_000_000 + 34 * 86_400


@pytest.fixture
def shop_copy(shop: Path, tmp_path: Path) -> Path:
    """A store of its own, since these tests change it."""
    return Path(shutil.copytree(shop, tmp_path / "shop"))


def test_a_conversation_goes_on_where_it_stood(shop_copy: Path) -> None:
    with Agent.open(shop_copy, llm="none") as agent:
        talk = agent.chat("u5", AT, session="birthday")
        talk.open()
        talk.say("something for the garden, no snacks")
        talk.say("not the first one")
        before = talk.state
    with Agent.open(shop_copy, llm="none") as agent:
        talk = agent.chat("u5", AT, session="birthday")
        opening = talk.open()
        assert talk.state == before
        assert before.rejected
        assert opening.words.startswith("We go on where we stopped.")
        talk.say("/undo")
        assert talk.state.rejected == {}
        assert talk.state.refused == ("snacks",)
        assert agent.chat("u5", AT, session="another").state.is_empty
        assert agent.chat("u6", AT, session="birthday").state.is_empty


def test_a_saved_conversation_is_private_and_forgotten_with_its_person(shop_copy: Path) -> None:
    with Agent.open(shop_copy, llm="none") as agent:
        agent.chat("u5", AT, session="birthday").say("no bread")
        path = SavedTalk(agent.store.folder, "u5", "birthday").path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "u5" not in str(path.relative_to(agent.store.folder))
        assert "birthday" not in path.name
        agent.forget("u5")
        assert not path.exists()


def test_a_damaged_or_badly_named_conversation_is_refused(shop_copy: Path) -> None:
    with Agent.open(shop_copy, llm="none") as agent:
        agent.chat("u5", AT, session="birthday").say("no bread")
        path = SavedTalk(agent.store.folder, "u5", "birthday").path
        path.write_text(path.read_text()[:100])
        with pytest.raises(DataError, match="birthday"):
            agent.chat("u5", AT, session="birthday")
        for name in ("a\nb", " ", "x" * 100):
            with pytest.raises(ConfigError, match="name"):
                agent.chat("u5", AT, session=name)


def test_a_conversation_is_saved_with_its_first_line_and_a_person_keeps_only_so_many(shop_copy: Path) -> None:
    with Agent.open(shop_copy, llm="none") as agent:
        agent.chat("u5", AT, session="opened").open()
        assert not list(agent.store.folder.glob("talks/*/*.json"))
        agent.chat("u5", AT, session="first").say("no bread")
        path = SavedTalk(agent.store.folder, "u5", "first").path
        os.utime(path, (0, 0))
        for number in range(MOST_KEPT - 1):
            path.with_name(f"{number}.json").write_text("{}")
        path.with_name("0.json").unlink()
        agent.chat("u5", AT, session="first").say("no tea")  # one that is there needs no room
        agent.chat("u5", AT, session="another").say("hello")  # there is room
        assert len(list(path.parent.glob("*.json"))) == MOST_KEPT
        assert path.exists()
        os.utime(path, (0, 0))
        agent.chat("u5", AT, session="one more").say("hello")
        assert len(list(path.parent.glob("*.json"))) == MOST_KEPT
        assert not path.exists()


def test_what_was_said_of_items_is_listed_deleted_and_expires(shop_copy: Path) -> None:
    with Agent.open(shop_copy, llm="none") as agent:
        talk = agent.chat("u5", AT)
        opening = talk.open()
        assert opening.recommendations is not None
        second = opening.recommendations.recommendations[1].title
        assert talk.say("/memory").words == "Nothing that you said of an item is kept."
        talk.say("I already have the second one")
        shown = talk.say("not the first one")
        words = talk.say("/memory").words
        assert f"You know '{second}' already." in words
        assert "counts until" in words
        assert talk.say("/memory delete 9").words.startswith("There is no such number.")
        number = next(line.split(".")[0] for line in words.splitlines() if "turned down" in line)
        talk.say(f"/memory delete {number}")
        assert "turned down" not in talk.say("/memory").words
        assert len(talk.state.rejected) == 0
        assert shown.recommendations is not None
        talk.say("not the first one")
        (rejected,) = talk.state.rejected
        later = AT + 100 * DAY_SECONDS
        assert rejected in {event.item_id for event in agent.store.history("u5")}
        assert "turned down" not in agent.chat("u5", later).say("/memory").words
        everything = agent.recommend("u5", later, k=agent.store.item_count()).recommendations
        soon = agent.recommend("u5", AT + DAY_SECONDS, k=agent.store.item_count()).recommendations
        assert rejected in {entry.item_id for entry in everything}
        assert rejected not in {entry.item_id for entry in soon}
        talk.say("/memory delete all")
        assert talk.say("/memory").words == "Nothing that you said of an item is kept."


def test_a_turn_can_be_awaited_and_is_html_in_a_notebook(shop_copy: Path) -> None:
    with Agent.open(shop_copy, llm="none") as agent:
        talk = agent.chat("u5", AT)
        talk.open()
        turn = asyncio.run(talk.asay("something <b>for</b> the garden"))
        assert turn.recommendations is not None
        html = turn._repr_html_()
        assert turn.recommendations.recommendations[0].title in html
        assert turn.recommendations.recommendations[0].explanation in unescape(html)
        assert "<b>for</b>" not in html
