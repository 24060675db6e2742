"""A person's history in another store, as evidence of their interest here.

Its items are no items of this store: they are read for their texts and topics, and are never recommended or cited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Item, liked, without_rejected
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.sensitive_topics import SensitiveTopics, marked_topics

MOST_EVENTS = 200
"""The latest events in the other store that are read."""
_MARK = "\ue000"
"""It begins the ids of items elsewhere, so that "17" there is not taken for "17" here. No id of a store has it."""
WHERE = {"seen in": "another store"}
"""The situation of an event elsewhere, as a language model reads it."""


class ItemElsewhere(Item):
    """An item that a person chose in another store, at `time`. It is no `Interaction`, so it cannot be cited."""

    context: dict[str, str] = WHERE


@dataclass(frozen=True)
class EventsElsewhere:
    """Events of a person in another store, the earliest first, with the unit text vectors of their items."""

    events: Sequence[Item] = ()
    vectors: Mapping[str, Vectors] = field(default_factory=dict)


class Elsewhere:
    """Another store, in which people of this one may have a history.

    Attributes:
        catalogue: Its items and events.
        name: Where it lies.
        offers_owned: Whether what a person has there may be recommended here, as a trial does that asks what people
            chose here.
    """

    def __init__(self, catalogue: Catalogue, name: str, *, offers_owned: bool = False) -> None:
        self.catalogue, self.name, self.offers_owned = catalogue, name, offers_owned

    def knows(self, user_id: str) -> bool:
        """Return whether the other store has events of this person."""
        return user_id in self.catalogue.log.user_rows

    def require(self, user_id: str) -> None:
        """Check that the other store knows a person.

        Raises:
            DataError: it does not.
        """
        if not self.knows(user_id):
            raise DataError(
                f"no user {user_id!r} in store {self.name!r}, given as the history elsewhere: check the id, or leave "
                "out --also-history"
            )

    def read(self, user_id: str, *, before: float, sensitive: SensitiveTopics) -> EventsElsewhere:
        """Return what a person liked there before a moment. Sensitive topics of either store are left out."""
        if not self.knows(user_id):
            return EventsElsewhere()
        hidden = marked_topics(self.catalogue.marks, user_id, sorted(sensitive.names))
        history = self.catalogue.history(user_id, before=before)
        events = [event for event in liked(without_rejected(history)) if not hidden.covers_item(event)][-MOST_EVENTS:]
        vectors = self.catalogue.item_vectors(sorted({event.item_id for event in events}))
        return EventsElsewhere(
            [_elsewhere(event) for event in events], {_MARK + item_id: vector for item_id, vector in vectors.items()}
        )


def _elsewhere(event: Item) -> ItemElsewhere:
    # Prices are left out, since the currencies of two shops may differ.
    return ItemElsewhere.model_construct(
        item_id=_MARK + event.item_id, title=event.title, topics=event.topics, text=event.text, time=event.time
    )


def merged(own: Sequence[Item], elsewhere: Sequence[Item]) -> Sequence[Item]:
    """Return two histories as one, in order of time. If the times of either are unknown, the own events come last."""
    if not elsewhere:
        return own
    both = [*elsewhere, *own]
    times = [np.nan if item.time is None else item.time for item in both]
    if np.isnan(times).any():
        return both
    return [both[row] for row in np.argsort(times, kind="stable")]
