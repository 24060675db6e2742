"""Conversations as threads of LangGraph: kept by a saver, apart from each other, of one person each."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from whimbrel.agent import Agent
from whimbrel.tools.errors import ConfigError, DataError

AT = 1_600_000_000 + 34 * 86_400


@pytest.fixture
def agent(shop: Path, tmp_path: Path) -> Iterator[Agent]:
    with Agent.open(shutil.copytree(shop, tmp_path / "shop"), llm="none") as opened:
        yield opened


def thread(name: str, **more: Any) -> Any:
    return {"configurable": {"thread_id": name, **more}}


def said(words: str) -> dict[str, Any]:
    return {"messages": [("user", words)]}


def test_a_thread_goes_on_as_one_conversation_does(agent: Agent) -> None:
    lines = ["something for the garden, no snacks", "not the first one", "/undo", "/state", "what do you know of me?"]
    talk = agent.chat("u5", AT)
    talk.open()
    expected = [talk.say(line) for line in lines]
    saver = InMemorySaver()
    chat, one = agent.as_chat(checkpointer=saver, at=AT), thread("1", user_id="u5")
    opening = chat.invoke({"messages": []}, one)
    assert opening["turn"]["recommendations"]
    for line, turn in zip(lines, expected, strict=True):
        # Another process would make the graph anew.
        answer = agent.as_chat(checkpointer=saver, at=AT).invoke(said(line), one)
        assert answer["turn"]["act"] == turn.act
        assert answer["turn"]["words"] == turn.words
        assert answer["turn"]["state"]["wants"] == list(turn.state.wants)
    assert answer.keys() == {"messages", "turn"}
    assert len(answer["messages"]) == 2 * len(lines) + 1
    last = answer["messages"][-1]
    assert isinstance(last, AIMessage)
    assert last.text.startswith(expected[-1].words)
    listed = opening["messages"][0].text
    assert all(entry["title"] in listed for entry in opening["turn"]["recommendations"])


def test_threads_do_not_mix_and_each_is_of_one_person(agent: Agent) -> None:
    chat = agent.as_chat(checkpointer=InMemorySaver(), at=AT)
    chat.invoke(said("no furniture"), thread("1", user_id="u5"))
    other = chat.invoke(said("/state"), thread("2", user_id="u6"))
    assert "urniture" not in json.dumps(other["turn"]["state"])
    assert "urniture" in json.dumps(chat.invoke(said("/state"), thread("1", user_id="u5"))["turn"]["state"])
    with pytest.raises(ConfigError, match="another person"):
        chat.invoke(said("/state"), thread("1", user_id="u6"))
    # What is sent can change neither the person nor what the thread remembers.
    forged = said("/state") | {"talk": {"user_id": "u6", "was_known": False, "memory": None}}
    assert "urniture" in json.dumps(chat.invoke(forged, thread("1", user_id="u5"))["turn"]["state"])


def test_a_chat_that_is_bound_to_a_person_takes_no_other(agent: Agent) -> None:
    chat = agent.as_chat("u5", InMemorySaver(), at=AT)
    assert chat.invoke(said("hello"), thread("1"))["turn"]["act"] == "small_talk"
    with pytest.raises(ConfigError, match="bound to another person"):
        chat.invoke(said("hello"), thread("1", user_id="u6"))


def test_a_forgotten_person_is_not_answered_from_a_thread(agent: Agent) -> None:
    chat, one = agent.as_chat(checkpointer=InMemorySaver()), thread("1", user_id="u5")
    chat.invoke(said("no furniture"), one)
    agent.forget("u5")
    with pytest.raises(DataError, match="forgotten"):
        chat.invoke(said("/state"), one)


def test_threads_work_in_an_event_loop_and_what_is_kept_is_json(agent: Agent) -> None:
    saver = InMemorySaver(serde=JsonPlusSerializer(pickle_fallback=False))
    chat, one = agent.as_chat(checkpointer=saver, at=AT), thread("1", user_id="u5")

    async def talk() -> list[Any]:
        return [part async for part in chat.astream(said("something for the garden"), one, stream_mode="updates")]

    (part,) = asyncio.run(talk())
    assert part["answer"]["turn"]["recommendations"]
    kept = chat.get_state(one).values["talk"]
    assert json.loads(json.dumps(kept)) == kept
    broken = {**kept, "memory": {"state": 1}}
    chat.update_state(one, {"talk": broken})
    with pytest.raises(DataError, match="cannot be read"):
        chat.invoke(said("/state"), one)
