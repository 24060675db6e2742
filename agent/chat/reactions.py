"""What a person said of items in conversations: recorded as events, listed, and deleted on request."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whimbrel.agent.chat.lists import Recommender
from whimbrel.agent.chat.reading import Act
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.records import EXPIRES_DAYS, Interaction
from whimbrel.tools.timestamps import DAY_SECONDS

EVENTS: Mapping[Act, str] = {"accept": "accept", "reject": "reject", "known": "known"}
"""The event that is recorded for each act."""
ALL = "all"


@dataclass(frozen=True)
class Reactions:
    """The reactions of one person. Nothing is recorded for a person without an id."""

    agent: Recommender
    user_id: str
    at: float
    say: Phrases

    def record(self, act: Act, item_ids: Sequence[str]) -> None:
        """Record a reaction to items."""
        at = min(self.at, time.time())  # a conversation may be about a moment to come, a reaction happens now
        for item_id in item_ids if self.user_id else ():
            self.agent.feedback(self.user_id, item_id, EVENTS[act], at)

    def take_back(self, reacted: Sequence[tuple[str, str]]) -> None:
        """Remove reactions of this conversation, given as ids of items and acts."""
        for event in self.list() if reacted else ():
            if any((event.item_id, event.event) == (item_id, EVENTS[act]) for item_id, act in reacted):  # type: ignore[index]
                self.agent.withdraw(self.user_id, event)

    def list(self) -> Sequence[Interaction]:
        """Return the recorded reactions that still count, the oldest first."""
        if self.user_id not in self.agent.store.log.user_rows:
            return ()
        history = self.agent.store.history(self.user_id)
        return [event for event in history if event.event in EVENTS.values() and not event.is_expired(self.at)]

    def words(self) -> str:
        """List the reactions, each with its number, its day, and the day from which it no longer counts."""
        chat, kept = self.say.chat, self.list()
        if not kept:
            return chat.memory_empty
        lines = [self._line(number, event) for number, event in enumerate(kept, 1)]
        return "\n".join([*lines, chat.memory_delete])

    def delete(self, which: str) -> str:
        """Delete the reaction of a number, or all of them. Return what is said about it."""
        kept = self.list()
        if which == ALL and kept:
            gone = kept
        elif which.isdecimal() and len(which) < 6 and 1 <= int(which) <= len(kept):
            gone = [kept[int(which) - 1]]
        else:
            return self.say.chat.memory_no_number if kept else self.say.chat.memory_empty
        for event in gone:
            self.agent.withdraw(self.user_id, event)
        titles = self.say.writing.listed([self.say.writing.title.format(title=event.title) for event in gone])
        return self.say.chat.memory_deleted.format(titles=titles)

    def _line(self, number: int, event: Interaction) -> str:
        what = self.say.chat.memory_words[event.event].format(title=self.say.writing.title.format(title=event.title))
        line = f"{number}. {self._day(event.time)}  {what}"
        days = EXPIRES_DAYS.get(event.event)
        if days is None:
            return line
        return f"{line} {self.say.chat.memory_until.format(day=self._day(event.time + days * DAY_SECONDS))}"

    def _day(self, time: float) -> str:
        return f"{self.say.local(time):%Y-%m-%d}"
