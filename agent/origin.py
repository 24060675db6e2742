"""Where models were learned. It tells which of them another store may use, and for which moments."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item, digest_of
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.minilm import ENGLISH

LEAST_PEOPLE = 2
"""Items that fewer people met are not named, not even by a digest."""
SHARED = 0.5
"""Two stores have the same topics, or are the same shop, if they share at least this share of one's topics or items."""
PAGE, SAMPLE = 5000, 500
"""Items that are read at a time, and items that show whether two stores are the same shop."""


class Origin(BaseModel):
    """The log that models were learned from.

    Ids are those of one shop: "17" is a film here and a lamp there. An item is therefore known by a digest of its id
    and its title.

    Attributes:
        encoder: The name of the text encoder whose cosines the weights weigh.
        until: All events of the log are earlier than this; None if their times are unknown.
        people: How many people the log has.
        items: Digests of the items that at least LEAST_PEOPLE people met.
        topics: Digests of these items' topics.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: str = ENGLISH.name
    until: float | None = Field(default=None, allow_inf_nan=False)
    people: int = Field(default=0, ge=0)
    items: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()

    @classmethod
    def of(cls, catalogue: Catalogue, *, timed: bool) -> Self:
        """Describe a log. `timed` says whether its times are real."""
        log = catalogue.log
        met = np.flatnonzero(log.users_per_item(before=np.inf) >= LEAST_PEOPLE)
        rows, _ = log.topics_of(met)
        return cls(
            encoder=catalogue.encoder.name,
            until=float(np.nextafter(log.end, np.inf)) if timed and log.end is not None else None,
            people=len(log.user_ids),
            items=tuple(sorted(_digests(catalogue, [log.item_ids[row] for row in met]).values())),
            topics=tuple(sorted(digest_of(log.topics[row]) for row in np.unique(rows))),
        )

    def known_items(self, catalogue: Catalogue, item_ids: Sequence[str]) -> frozenset[str]:
        """Return which of these ids mean the same item in a catalogue as they meant here."""
        there = [item_id for item_id, row in zip(item_ids, catalogue.log.rows(item_ids), strict=True) if row >= 0]
        known = frozenset(self.items)
        return frozenset(id_ for id_, digest in _digests(catalogue, there).items() if digest in known)

    def is_same_shop(self, catalogue: Catalogue) -> bool:
        """Return whether most items of a catalogue that people met are items of this log, as far as a sample shows."""
        log = catalogue.log
        met = np.flatnonzero(log.users_per_item(before=np.inf) >= LEAST_PEOPLE)
        drawn = np.random.default_rng(0).permutation(met)[:SAMPLE]
        known = self.known_items(catalogue, [log.item_ids[row] for row in drawn])
        return bool(len(drawn)) and len(known) >= SHARED * len(drawn)

    def shares_topics(self, log: InteractionLog) -> bool:
        """Return whether this log has at least SHARED of the topics of another."""
        names = {digest_of(topic) for topic in log.topics}
        return bool(names) and len(names.intersection(self.topics)) >= SHARED * len(names)


UNKNOWN = Origin()


def _digests(catalogue: Catalogue, item_ids: Sequence[str]) -> dict[str, str]:
    digests: dict[str, str] = {}
    for start in range(0, len(item_ids), PAGE):
        digests |= {id_: _digest(item) for id_, item in catalogue.items(item_ids[start : start + PAGE]).items()}
    return digests


def _digest(item: Item) -> str:
    return digest_of(f"{item.item_id}\0{item.title.casefold()}")
