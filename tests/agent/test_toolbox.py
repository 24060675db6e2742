"""The tools that a language model may call."""

import json
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

from whimbrel.agent import Agent, DataError
from whimbrel.agent.toolbox import MOST_RETURNED, toolbox
from whimbrel.tools.timestamps import parse_time

AT = "2020-10-03T12:00:00Z"


def called(tools: dict[str, Any], name: str, **arguments: Any) -> Any:
    return json.loads(tools[name].invoke(arguments))


def test_every_tool_answers_from_the_log_as_of_the_moment(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        tools = {tool.name: tool for tool in toolbox(agent, "u1", AT)}
        events = agent.store.history("u1", before=parse_time(AT))
        history = called(tools, "history", count=MOST_RETURNED)
        latest_first = events[: -MOST_RETURNED - 1 : -1]
        assert [event["item_id"] for event in history] == [event.item_id for event in latest_first]
        met = {event.item_id for event in events}
        answer = called(tools, "recommend", count=3)
        expected = agent.recommend("u1", AT, k=3).recommendations
        assert [item["item_id"] for item in answer["items"]] == [entry.item_id for entry in expected]
        assert all(item["item_id"] not in met and item["why"] for item in answer["items"])
        first = history[0]["item_id"]
        for name in ("similar_items", "met_together"):
            listed = called(tools, name, item_id=first, count=4)
            assert 0 < len(listed) <= 4
            assert first not in {item["item_id"] for item in listed}
        assert len(called(tools, "popular_now", count=2)) == 2


def test_the_shift_is_that_of_the_timeline(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        kinds = set()
        for user_id in ("u0", "u5"):
            (tool,) = (tool for tool in toolbox(agent, user_id) if tool.name == "interest_shift")
            shift = agent.timeline(user_id).shift
            assert json.loads(tool.invoke({})) == shift.model_dump(mode="json", exclude={"evidence"})
            kinds.add(shift.kind)
        assert len(kinds) == 2  # u0 moves to garden things in the last week, u5 does not


def test_no_tool_returns_an_item_that_appears_later(shop: Path) -> None:
    def topics(answer: list[dict[str, Any]]) -> set[str]:
        return {topic for item in answer for topic in item["topics"]}

    with Agent.open(shop, llm="none") as agent:
        rake = next(event.item_id for event in agent.store.history("u0") if event.title == "Rake")
        early, late = ({tool.name: tool for tool in toolbox(agent, "u0", at)} for at in (AT, None))
        for name, arguments in (
            ("similar_items", {"item_id": rake}),
            ("met_together", {"item_id": rake}),
            ("history", {}),
            ("popular_now", {}),
        ):
            assert "Garden" not in topics(called(early, name, count=MOST_RETURNED, **arguments))
            assert "Garden" in topics(called(late, name, count=MOST_RETURNED, **arguments))


def test_a_wrong_call_is_answered_with_a_sentence(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        tools = {tool.name: tool for tool in toolbox(agent, "u1")}
        assert "no item 'x'" in called(tools, "similar_items", item_id="x")["error"]
        with pytest.raises(DataError, match="no user"):
            toolbox(agent, "nobody")


class Caller(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def test_a_langchain_agent_calls_the_tools(shop: Path) -> None:
    wants = AIMessage("", tool_calls=[{"name": "popular_now", "args": {"count": 1}, "id": "1", "type": "tool_call"}])
    with Agent.open(shop, llm="none") as agent:
        graph = create_agent(Caller(messages=iter([wants, AIMessage("There.")])), toolbox(agent, "u1"))
        messages = graph.invoke({"messages": [("user", "What do people buy?")]})["messages"]
    (reply,) = [message for message in messages if isinstance(message, ToolMessage)]
    assert json.loads(str(reply.content))[0]["title"]
    assert messages[-1].content == "There."
