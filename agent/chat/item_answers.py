"""Answer questions about items and about the person, from the catalogue and the log."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.agent.chat.answering import Asked
from whimbrel.agent.chat.lexicon import concepts
from whimbrel.agent.chat.lists import CatalogueOfTalk
from whimbrel.agent.chat.vocabulary import FieldInfo, Vocabulary, number_of
from whimbrel.agent.chat.words import comparison_words, field_words, item_words, value_words
from whimbrel.agent.explanation.events import event_line
from whimbrel.agent.explanation.plain import why
from whimbrel.agent.schema.results import Recommendation, Recommendations
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.moment_counts import counts_before
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
        speaks_of: Whether an item may be named beside another.
    """

    store: CatalogueOfTalk
    user_id: str
    at: float
    say: Phrases
    model: Callable[[Asked], str] | None = None
    speaks_of: Callable[[Item], bool] = lambda item: True

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

    def about(self, line: str, items: Sequence[Item], wanted: str, asked: Sequence[FieldInfo] = ()) -> str:
        """Answer a question about items.

        Args:
            line: The question.
            items: The items.
            wanted: What the person wants, in words.
            asked: The fields that the question names. Without a model, only they are told then.
        """
        shown = "\n".join(word for item in items for word in self._item_words(item))
        own = "\n".join(self._fact(item, info) for item in items for info in asked) or shown
        return self._worded(Asked(line, wanted, shown, own))

    def _fact(self, item: Item, info: FieldInfo) -> str:
        value, name = item.fact(info.name), field_words(info.name, self.say)
        if value in (None, ()):
            return self.say.chat.fact_unknown.format(title=item.title, name=name)
        return self.say.chat.fact_of.format(title=item.title, name=name, value=value_words(value, self.say))

    def best_of(self, line: str, items: Sequence[Item], vocabulary: Vocabulary) -> str:
        """Return which item is the cheapest, the longest and so on, if a line asks for that; else ""."""
        for name, concept in concepts().items():
            info = vocabulary.of_concept(name)
            known = [item for item in items if info and isinstance(item.fact(info.name), float | str)]
            for words, is_less in ((concept.less, True), (concept.more, False)):
                named = any(re.search(rf"(?<![a-zäöüß]){re.escape(one)}", line, re.IGNORECASE) for one in words)
                if info and known and named and info.kind in {"number", "date"}:
                    value = {item.item_id: number_of(item, info) or 0.0 for item in known}
                    best = (min if is_less else max)(known, key=lambda item: value[item.item_id])
                    return self._fact(best, info)
        return ""

    def compare(self, line: str, items: Sequence[Item], wanted: str) -> str:
        """Compare items point by point."""
        own = "\n".join(comparison_words(items, self.say))
        shown = "\n".join(word for item in items for word in self._item_words(item))
        words = self._worded(Asked(line, wanted, f"{shown}\n{own}", ""))
        return f"{words}\n{own}" if words else own

    def profile(self, opening: Recommendations) -> str:
        """Say what is known of the person."""
        log = self.store.log
        row = log.user_rows.get(self.user_id)
        count = int(log.items_per_user(before=self.at)[row]) if row is not None else 0
        return "\n".join([self.say.chat.your_events.format(count=count), opening.summary, opening.shift.reason])

    def _worded(self, asked: Asked) -> str:
        return self.model(asked) if self.model else asked.own_words

    def _item_words(self, item: Item) -> list[str]:
        log = self.store.log
        users = int(log.users_per_item(before=self.at)[log.rows([item.item_id])][0])
        counts = ItemStatistics.of(log, [item], before=self.at).itemknn
        counts = np.where(counts_before(log, self.at).shown(self.store.min_people), counts, 0)
        rows = [int(row) for row in np.argsort(-counts, kind="stable")[:ALSO_CHOSEN] if counts[row] > 0]
        others = self.store.items([log.item_ids[row] for row in rows])
        titles = dict.fromkeys(
            other.title for other in others.values() if other.title != item.title and self.speaks_of(other)
        )
        return item_words(item, self.say, also=list(titles), people=users)
