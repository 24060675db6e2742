"""The conversations that a server holds in memory. Those that have a name and a person are saved after each turn."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from whimbrel.agent.agent import Agent
from whimbrel.agent.chat.saved_talks import SavedTalk
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.forgetting import Receipt
from whimbrel.agent.schema.policy import Policy
from whimbrel.tools.errors import DataError, WhimbrelError
from whimbrel.tools.store.person_files import remove_files_of

MOST_HELD = 1000
"""The conversation that was used least recently is dropped. One that was saved goes on from its file."""
MOST_STRANGERS = 1000
"""Conversations that a caller may have saved for people without an event, whose number nothing else bounds."""
Key = tuple[str, str, str]


class TooManyError(WhimbrelError):
    """A caller began too many conversations."""


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
        self._strangers: Counter[str] = Counter()
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
            TooManyError: the caller had too many conversations saved for people without an event.
        """
        name = name.strip()
        was_known = user_id in self._agent.store.log.user_rows
        held = self._hold(("" if user_id else caller, user_id, name)) if user_id or name else _Held()
        with held.lock:  # two lines of one conversation are answered one after the other
            saved = name if user_id else ""
            if saved and line and not was_known:
                self._count_stranger(caller, user_id, saved)
            if held.session is None or not line:
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

    def _count_stranger(self, caller: str, user_id: str, name: str) -> None:
        if SavedTalk(self._agent.store.folder, user_id, name).path.exists():
            return
        with self._lock:
            if self._strangers[caller] >= MOST_STRANGERS:
                raise TooManyError(
                    f"{MOST_STRANGERS:,} conversations of people without an event were begun: go on with one of "
                    "them, or send feedback of the person first"
                )
            self._strangers[caller] += 1

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
