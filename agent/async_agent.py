"""An agent for programs with an event loop, such as web servers. It refuses work instead of collapsing under it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, Self, TypeVar

from whimbrel.agent.agent import Agent, Situation
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.shift.timeline import Timeline
from whimbrel.tools.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")


class AsyncAgent:
    """An agent whose methods are awaited. A few calls run at once in threads, and a limited number of others wait.

    Attributes:
        agent: The agent. Its other methods are awaited by `run`.

    Example:
        ```python
        async with AsyncAgent(Agent.open("shop", llm="none")) as agent:
            lists = await asyncio.gather(*(agent.recommend(user, k=5) for user in users))
            shift = await agent.run(agent.agent.predict_shift, history)
        ```
    """

    def __init__(self, agent: Agent, *, at_once: int = 4, most_waiting: int = 100) -> None:
        """Wrap an open agent.

        Args:
            agent: The agent, which `close` closes.
            at_once: The most calls that run at the same time.
            most_waiting: The most further calls that wait. Whoever comes then gets a `BusyError` at once, so that the
                times of the others and the memory stay bounded.
        """
        self.agent = agent
        self._places = threading.Semaphore(at_once + most_waiting)
        self._threads = ThreadPoolExecutor(at_once, "whimbrel")

    async def recommend(
        self, user_id: str, at: object = None, context: Situation = None, k: int = 10
    ) -> Recommendations:
        """Recommend as `Agent.recommend` does."""
        return await self.run(self.agent.recommend, user_id, at, context, k)

    async def timeline(self, user_id: str, at: object = None) -> Timeline:
        """Show how the interest moved, as `Agent.timeline` does."""
        return await self.run(self.agent.timeline, user_id, at)

    async def run(self, method: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call a method of the agent in a thread.

        A call that is cancelled while it waits is dropped. One that runs already runs to its end.

        Raises:
            BusyError: too many calls wait.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("too many requests run or wait already: try again later")
        try:
            work = self._threads.submit(partial(method, *arguments, **named))
        except RuntimeError:  # the agent is closed
            self._places.release()
            raise
        work.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(work)

    async def close(self) -> None:
        """Wait for the calls that run, drop those that wait, and close the agent."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        self.agent.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
