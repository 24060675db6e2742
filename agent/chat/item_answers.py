"""Answer questions about items and about the person, from the catalogue and the log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.agent.chat.answering import Asked
from whimbrel.agent.chat.lists import CatalogueOfTalk
from whimbrel.agent.chat.words import comparison_words, item_words
from whimbrel.agent.explanation.events import event_line
from whimbrel.agent.explanation.plain import why
from whimbrel.agent.schema.results import Recommendation, Recommendations
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.records import Item
from whimbrel.tools.timestamps import iso

ALSO_CHOSEN = 3
"""How many items that people also chose are named with an item."""


@dataclass(frozen=True)
class ItemAnswers:
    """Answers the questions of one conversation.

    Attributes:
        store: The catalogue and the log.
        user_id: The person; "" for a new one.
        at: The moment of all answers, in Unix seconds.
        say: The sentences.
        model: Answers in a model's words. If it is None, the answers are made of sentences.
    """

    store: CatalogueOfTalk
    user_id: str
    at: float
    say: Phrases
    model: Callable[[Asked], str] | None = None

    def why(self, entries: Sequence[Recommendation]) -> tuple[str, str]:
        """Return why items were recommended, and the figures behind it."""
        words, figures = list[str](), list[str]()
        for entry in entries:
            events = [f"  {event_line(event, self.say)}" for event in entry.evidence]
            words += [entry.title, entry.explanation, *events, why(entry.signals, self.say)]
            figures += [
                f"  event {event.event_id}  {iso(event.time or 0.0)}  {event.event}  {event.title}"
                for event in entry.evidence
            ]
            signals = ", ".join(f"{name} {value:+.2f}" for name, value in entry.signals.items())
            figures.append(f"  score {entry.score:.2f}: {signals}")
        return "\n".join(words), "\n".join(figures)

    def about(self, line: str, items: Sequence[Item], wanted: str) -> str:
        """Answer a question about items."""
        own = "\n".join(word for item in items for word in self._item_words(item))
        return self._worded(Asked(line, wanted, own, own))

    def compare(self, line: str, items: Sequence[Item], wanted: str) -> str:
        """Compare items point by point."""
        own = "\n".join(comparison_words(items, self.say))
        shown = "\n".join(word for item in items for word in self._item_words(item))
        words = self._worded(Asked(line, wanted, f"{shown}\n{own}", ""))
        return f"{words}\n{own}" if words else own

    def profile(self, opening: Recommendations) -> str:
        """Say what is known of the person."""
        log = self.store.log
        count = int(log.items_per_user(before=self.at)[log.user_rows[self.user_id]])
        return "\n".join([self.say.chat.your_events.format(count=count), opening.summary, opening.shift.reason])

    def _worded(self, asked: Asked) -> str:
        return self.model(asked) if self.model else asked.own_words

    def _item_words(self, item: Item) -> list[str]:
        log = self.store.log
        users = int(log.users_per_item(before=self.at)[log.rows([item.item_id])][0])
        counts = ItemStatistics.of(log, [item], before=self.at).itemknn
        rows = [int(row) for row in np.argsort(-counts, kind="stable")[:ALSO_CHOSEN] if counts[row] > 0]
        others = self.store.items([log.item_ids[row] for row in rows])
        return item_words(item, self.say, also=[other.title for other in others.values()], people=users)
