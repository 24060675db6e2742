"""The functions that a model may call."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from whimbrel.agent import Agent, DataError
from whimbrel.agent.toolbox import MOST, toolbox

AT = "2020-10-03T12:00:00Z"


def called(tools: dict[str, Any], name: str, **given: Any) -> Any:
    return json.loads(tools[name].invoke(given))


def test_every_tool_answers_from_the_log_as_of_the_moment(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        tools = {tool.name: tool for tool in toolbox(agent, "u1", AT)}
        history = called(tools, "history", count=MOST)
        met = {event.item_id for event in agent.store.history("u1", before=agent.now())}
        assert {event["item_id"] for event in history} <= met
        found = called(tools, "recommend", count=3)
        assert [item["item_id"] for item in found["items"]] == [
            one.item_id for one in agent.recommend("u1", AT, k=3).recommendations
        ]
        assert all(item["item_id"] not in met and item["why"] for item in found["items"])
        shift = agent.recommend("u1", AT).shift
        assert called(tools, "interest_shift") == shift.model_dump(mode="json", exclude={"evidence"})
        first = history[0]["item_id"]
        for name in ("similar_items", "met_together"):
            listed = called(tools, name, item_id=first, count=4)
            assert 0 < len(listed) <= 4
            assert first not in {item["item_id"] for item in listed}
        assert len(called(tools, "popular_now", count=2)) == 2


def test_a_call_that_makes_no_sense_is_answered_in_words(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        tools = {tool.name: tool for tool in toolbox(agent, "u1")}
        assert "no item 'x'" in called(tools, "similar_items", item_id="x")["error"]
        with pytest.raises(DataError, match="no user"):
            toolbox(agent, "nobody")


class Caller(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def test_an_agent_of_langchain_calls_them(shop: Path) -> None:
    wants = AIMessage("", tool_calls=[{"name": "popular_now", "args": {"count": 1}, "id": "1", "type": "tool_call"}])
    with Agent.open(shop, llm="none") as agent:
        graph = create_agent(Caller(messages=iter([wants, AIMessage("There.")])), toolbox(agent, "u1"))
        messages = graph.invoke({"messages": [("user", "What do people buy?")]})["messages"]
    (told,) = [message for message in messages if isinstance(message, ToolMessage)]
    assert json.loads(str(told.content))[0]["title"]
    assert messages[-1].content == "There."
