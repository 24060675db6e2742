"""An agent for programs with an event loop, such as web servers. It refuses work instead of collapsing under it."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, Self, TypeVar

from whimbrel.agent.agent import Agent, Situation
from whimbrel.agent.call_threads import CallThreads
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.shift.timeline import Timeline
from whimbrel.tools.errors import BusyError
from whimbrel.tools.given_up import GIVEN_UP

P = ParamSpec("P")
T = TypeVar("T")
GRACE_SECONDS = 30.0
"""How long the calls that run may take when an agent is closed."""


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
        self._threads = CallThreads(at_once)

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

        A call that is cancelled while it waits is dropped. One that runs already ends with the stage of the pipeline
        that it is in, and runs to its end if it is in none.

        Raises:
            BusyError: too many calls wait.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("too many requests run or wait already: try again later")
        try:
            # The thread knows the caller's context, such as the span of a request.
            context, given_up = copy_context(), threading.Event()
            context.run(GIVEN_UP.set, given_up)
            work = self._threads.submit(partial(context.run, method, *arguments, **named))
        except RuntimeError:  # the agent is closed
            self._places.release()
            raise
        work.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            given_up.set()
            raise

    async def close(self, seconds: float = GRACE_SECONDS) -> int:
        """Drop the calls that wait, wait for those that run, and close the agent.

        Args:
            seconds: The longest wait. If a call still runs then, the agent stays open, since closing a store or a model
                under a call that uses it can crash the process. Its thread does not keep the process alive.

        Returns:
            How many calls still run.
        """
        left = await asyncio.to_thread(self._threads.close, seconds)
        if not left:
            self.agent.close()
        return left

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
