"""What a log teaches about its items: their embeddings, their weights on each other, and vectors of their texts."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np

from whimbrel.tools.log.ease import Ease
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.taught_items import TaughtItems


@dataclass(frozen=True)
class LearnedItems:
    """Models of the items of a log. Each is None if the log was too small to learn it.

    Attributes:
        embeddings: Item embeddings.
        ease: The weights of items on each other.
        taught: Taught vectors of the items' texts. `of` learns none, since that takes minutes.
    """

    embeddings: ItemEmbeddings | None = None
    ease: Ease | None = None
    taught: TaughtItems | None = None

    @classmethod
    def of(cls, log: InteractionLog, *, before: float = np.inf) -> Self:
        """Learn from the events earlier than `before`."""
        return cls(ItemEmbeddings.of(log, before=before), Ease.of(log, before=before))

    def as_of(self, before: float) -> "LearnedItems":
        """Return the models without those that were learned from an event at or after `before`."""
        embeddings = self.embeddings if self.embeddings and self.embeddings.until <= before else None
        ease = self.ease if self.ease and self.ease.until <= before else None
        return LearnedItems(embeddings, ease, self.taught if self.taught and self.taught.until <= before else None)

    def for_log(self, log: InteractionLog) -> "LearnedItems":
        """Return the models in the order of a log that may have grown since they were learned."""
        embeddings = self.embeddings.for_log(log) if self.embeddings else None
        taught = self.taught.for_log(log) if self.taught else None
        return LearnedItems(embeddings, self.ease.for_log(log) if self.ease else None, taught)

    def only(self, item_ids: Collection[str]) -> "LearnedItems":
        """Return the models of these items alone."""
        embeddings = self.embeddings.only(item_ids) if self.embeddings else None
        return LearnedItems(embeddings, self.ease.only(item_ids) if self.ease else None)


NO_LEARNED_ITEMS = LearnedItems()
