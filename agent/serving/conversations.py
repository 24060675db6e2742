"""The conversations that a server holds in memory. Those that have a name and a person are saved after each turn."""

import threading
from collections import OrderedDict
from collections.abc import Mapping

from whimbrel.agent.agent import Agent
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.schema.policy import Policy

MOST_HELD = 1000
"""The conversation that was used least recently is dropped. One that was saved goes on from its file."""
Key = tuple[str, str, str]


class Conversations:
    """Conversations by caller, person and name. Several threads may use them at once."""

    def __init__(
        self, agent: Agent, policy: Policy | None = None, facts: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self._agent, self._policy, self._facts = agent, policy, facts
        self._held: OrderedDict[Key, Session] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, caller: str, user_id: str, name: str, line: str) -> Turn:
        """Answer a line. A conversation that is not held yet is opened. Without a line, its opening is the answer.

        Args:
            caller: Whose conversation it is, if the person has no id.
            user_id: The person; "" for somebody new.
            name: The name of the conversation.
            line: What the person says.
        """
        key = ("" if user_id else caller, user_id, name)
        with self._lock:
            session = self._held.get(key) if line else None
            if session is not None:
                self._held.move_to_end(key)
        if session is None:
            saved = name if user_id else ""
            session = self._agent.chat(user_id, policy=self._policy, facts=self._facts, session=saved)
            opening = session.open()
            with self._lock:
                self._held[key] = session
                while len(self._held) > MOST_HELD:
                    self._held.popitem(last=False)
            if not line:
                return opening
        return session.say(line)

    def drop(self, user_id: str) -> None:
        """Drop the conversations of a person, such as one who is forgotten."""
        with self._lock:
            for key in [key for key in self._held if key[1] == user_id]:
                del self._held[key]
