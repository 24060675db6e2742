"""Item records: an item, since when it is known, and how its facts changed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from whimbrel.tools.records import Item

FROM_CATALOGUE = -1e18
"""The `known_since` of an item from a catalogue, earlier than any event. Chroma cannot store an infinity."""
_KNOWN_SINCE_KEY = "told"  # part of the format on disk
_VERSIONS_KEY, _VOTES_KEY = "versions", "votes"


class Version(NamedTuple):
    """The facts of an item from a moment on: the time of the event that changed them, and what then most rows told."""

    since: float
    title: str
    topics: tuple[str, ...]
    price: float | None


class ItemRecord(NamedTuple):
    """An item and the time since which its facts are known.

    Attributes:
        item: The item, with the facts of now.
        known_since: The time of the earliest event that described the item; `FROM_CATALOGUE` for a catalogue's item.
        versions: The facts over time, if they ever changed, the latest last; otherwise empty.
        told_until: The time of the latest event that told something about the item.
        votes: How many events told the title and the topics that the item has.
    """

    item: Item
    known_since: float
    versions: Sequence[Version] = ()
    told_until: float = FROM_CATALOGUE
    votes: tuple[int, int] = (1, 1)

    def as_of(self, moment: float) -> Item:
        """Return the item with the facts that were known just before a moment."""
        if not self.versions or self.versions[-1].since < moment:
            return self.item
        version = next((v for v in reversed(self.versions) if v.since < moment), self.versions[0])
        return self.item.model_copy(update={"title": version.title, "topics": version.topics, "price": version.price})

    def metadata(self) -> dict[str, Any]:
        """Return the record as metadata of Chroma."""
        versions = {_VERSIONS_KEY: json.dumps(self.versions, ensure_ascii=False)} if self.versions else {}
        item = self.item.model_dump_json(exclude_defaults=True)
        told = json.dumps([self.told_until, *self.votes])
        return {"item": item, _KNOWN_SINCE_KEY: max(self.known_since, FROM_CATALOGUE), _VOTES_KEY: told, **versions}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "ItemRecord":
        """Return the record that metadata of Chroma holds.

        Raises:
            ValueError, KeyError, TypeError: The metadata is damaged.
        """
        rows = json.loads(metadata.get(_VERSIONS_KEY) or "[]")
        versions = tuple(Version(since, title, tuple(topics), price) for since, title, topics, price in rows)
        until, *votes = json.loads(metadata.get(_VOTES_KEY) or "[-1e18, 1, 1]")
        item, known_since = Item.model_validate_json(metadata["item"]), float(metadata[_KNOWN_SINCE_KEY])
        return cls(item, known_since, versions, float(until), (int(votes[0]), int(votes[1])))
