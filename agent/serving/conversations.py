"""The conversations that a server holds in memory. Those that have a name and a person are saved after each turn."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from whimbrel.agent.agent import Agent
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.forgetting import Receipt
from whimbrel.agent.schema.policy import Policy
from whimbrel.tools.errors import DataError
from whimbrel.tools.store.person_files import remove_files_of

MOST_HELD = 1000
"""The conversation that was used least recently is dropped. One that was saved goes on from its file."""
Key = tuple[str, str, str]


@dataclass
class _Held:
    """A conversation, and the lock of whoever speaks in it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    session: Session | None = None


class Conversations:
    """Conversations by caller, person and name. Several threads may use them at once."""

    def __init__(
        self, agent: Agent, policy: Policy | None = None, facts: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self._agent, self._policy, self._facts = agent, policy, facts
        self._held: OrderedDict[Key, _Held] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, caller: str, user_id: str, name: str, line: str) -> Turn:
        """Answer a line. A conversation that is not held yet is opened. Without a line, its opening is the answer.

        Args:
            caller: Whose conversation it is, if the person has no id.
            user_id: The person; "" for somebody new.
            name: The name of the conversation. One without a person and a name is not held, since nobody could tell
                two such conversations apart.
            line: What the person says.

        Raises:
            DataError: the person was forgotten meanwhile.
        """
        name = name.strip()
        was_known = user_id in self._agent.store.log.user_rows
        held = self._hold(("" if user_id else caller, user_id, name)) if user_id or name else _Held()
        with held.lock:  # two lines of one conversation are answered one after the other
            if held.session is None or not line:
                saved = name if user_id else ""
                held.session = self._agent.chat(user_id, policy=self._policy, facts=self._facts, session=saved)
                turn = held.session.open()
            if line:
                turn = held.session.say(line)
        if was_known and user_id not in self._agent.store.log.user_rows:
            # What was saved after the person was forgotten must not stay.
            remove_files_of(self._agent.store.folder, user_id)
            self._drop(user_id)
            raise DataError(f"no user {user_id!r}")
        return turn

    def forget(self, user_id: str) -> Receipt:
        """Forget a person, and drop their conversations."""
        try:
            return self._agent.forget(user_id)
        finally:
            self._drop(user_id)

    def _hold(self, key: Key) -> _Held:
        with self._lock:
            held = self._held.setdefault(key, _Held())
            self._held.move_to_end(key)
            while len(self._held) > MOST_HELD:
                self._held.popitem(last=False)
            return held

    def _drop(self, user_id: str) -> None:
        with self._lock:
            for key in [key for key in self._held if key[1] == user_id]:
                del self._held[key]
