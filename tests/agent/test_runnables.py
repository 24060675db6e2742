"""The agent as a Runnable and as a retriever."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from whimbrel.agent.agent import Agent
from whimbrel.tools.errors import DataError


@pytest.fixture(scope="module")
def agent(shop: Path) -> Iterator[Agent]:
    with Agent.open(shop, llm="none") as opened:
        yield opened


def test_a_runnable_recommends_as_the_agent_does(agent: Agent) -> None:
    runnable, expected = agent.as_runnable(), agent.recommend("u1", k=10)
    titles = [entry.title for entry in expected.recommendations]
    assert [entry.title for entry in runnable.invoke("u1").recommendations] == titles
    assert [entry.title for entry in asyncio.run(runnable.ainvoke("u1")).recommendations] == titles
    first, second = runnable.batch(["u1", {"user_id": "u2", "k": 1, "context": {"query": "a table"}}])
    assert (first.user_id, second.user_id, len(second.recommendations)) == ("u1", "u2", 1)
    assert [chunk.user_id for chunk in runnable.stream("u1")] == ["u1"]


def test_a_wrong_request_is_an_error(agent: Agent) -> None:
    with pytest.raises(ValueError, match="has no wish"):
        agent.as_runnable().invoke({"user_id": "u1", "wish": "tea"})
    with pytest.raises(DataError, match="no user"):
        agent.as_runnable().invoke("nobody")


def test_a_retriever_returns_items_that_fit_a_wish(agent: Agent) -> None:
    documents = agent.as_retriever("u1", k=2).invoke("something to sit at")
    assert len(documents) == 2
    for document in documents:
        assert document.metadata["title"].startswith("Oak table")
        assert document.metadata["explanation"]
        assert document.id == document.metadata["item_id"]
    assert agent.as_retriever(k=1).invoke("tea")[0].metadata["topics"] == ["Tea"]
