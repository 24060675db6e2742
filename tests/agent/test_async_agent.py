"""The agent in an event loop: as many answers as asked for, the same ones, and no more work than was agreed."""

import asyncio
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent import Agent, AsyncAgent, BusyError
from whimbrel.agent.pipeline import STAGES


def test_answers_are_those_of_the_agent_while_others_write(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(shop, folder)
    users = [f"u{number % 8}" for number in range(40)]

    async def both() -> list[list[str]]:
        async with AsyncAgent(Agent.open(folder, llm="none")) as agent:
            item = agent.agent.store.log.item_ids[0]
            asked = [agent.recommend(user, at=1.65e9) for user in users]
            # These events are later than the moment, so they change no answer.
            written = [agent.run(agent.agent.feedback, f"u{n % 8}", item, "click", at=1.7e9 + n) for n in range(40)]
            lists, _ = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*written))
            return [[entry.item_id for entry in answer.recommendations] for answer in lists]

    together = asyncio.run(both())
    with Agent.open(folder, llm="none") as agent:
        alone = {
            user: [entry.item_id for entry in agent.recommend(user, at=1.65e9).recommendations] for user in set(users)
        }
        assert sum(len(agent.store.history(f"u{n}", before=1.75e9)) for n in range(8)) >= 40
    assert together == [alone[user] for user in users]


def test_whoever_comes_when_too_many_wait_is_told_at_once() -> None:
    gate, running = threading.Event(), []

    def slow() -> int:
        running.append(1)
        gate.wait(20)
        return 1

    async def crowd() -> tuple[list[object], int]:
        agent = AsyncAgent(Agent(None, None), at_once=2, most_waiting=3)
        calls = [asyncio.ensure_future(agent.run(slow)) for _ in range(9)]
        begun = time.monotonic()
        await asyncio.sleep(0.2)
        refused = [call for call in calls if call.done()]
        assert time.monotonic() - begun < 5
        at_once = len(running)
        gate.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert len(refused) == 4
        assert await agent.run(slow) == 1  # there is room again
        await agent.close()
        return results, at_once

    results, at_once = asyncio.run(crowd())
    assert at_once == 2
    assert [type(result) for result in results] == [int] * 5 + [BusyError] * 4


def test_closing_waits_no_longer_than_it_says() -> None:
    gate = threading.Event()
    closed = []

    class Watched(Agent):
        def close(self) -> None:
            closed.append(True)

    async def close() -> tuple[int, float]:
        agent = AsyncAgent(Watched(None, None), at_once=1)
        running = asyncio.ensure_future(agent.run(gate.wait, 30))
        waiting = asyncio.ensure_future(agent.run(gate.wait, 30))
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        left = await agent.close(0.3)
        took = time.monotonic() - begun
        with pytest.raises(RuntimeError, match="closed"):
            await agent.run(gate.wait)
        assert waiting.cancelled()
        gate.set()
        await running
        return left, took

    left, took = asyncio.run(close())
    assert left == 1
    assert took < 5
    assert not closed  # a call still used it


def test_a_call_that_nobody_waits_for_ends_with_its_stage(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, begun, explained = threading.Event(), threading.Event(), []
    stages: Any = STAGES

    def slow(state: Any, resources: Any) -> Any:
        begun.set()
        gate.wait(20)
        return state

    monkeypatch.setitem(stages, "read", slow)
    monkeypatch.setitem(stages, "explain", lambda state, resources: explained.append(state))

    async def give_up() -> None:
        async with AsyncAgent(Agent.open(shop, llm="none"), at_once=1, most_waiting=1) as agent:
            call = asyncio.ensure_future(agent.recommend("u1"))
            assert await asyncio.to_thread(begun.wait, 30)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            after = asyncio.ensure_future(agent.run(time.monotonic))
            await asyncio.sleep(0.1)
            assert not after.done()  # there is one thread
            gate.set()
            await after

    asyncio.run(give_up())
    assert explained == []


def test_an_error_reaches_whoever_awaits() -> None:
    async def ask() -> None:
        async with AsyncAgent(Agent(None, None)) as agent:
            await agent.recommend("u", k=0)

    with pytest.raises(ValueError, match="k"):
        asyncio.run(ask())
