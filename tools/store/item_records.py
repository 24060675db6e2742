"""Item records: an item, since when it is known, and how its facts changed."""

import json
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from whimbrel.tools.log.interaction_log import InteractionLog
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

    def without_times(self, forgotten: Set[float], remaining: Sequence[float]) -> "ItemRecord":
        """Return the record as if events had not happened.

        The next event takes the place of a forgotten one. Which event told which fact is not stored, so facts are only
        taken back if no event remains from when they changed until they changed again.

        Args:
            forgotten: The times of the events.
            remaining: The times of the other events with the item, in ascending order.
        """
        known_since = self.known_since
        if known_since in forgotten:
            known_since = remaining[0] if remaining else FROM_CATALOGUE
        versions = list[Version]()
        ends = (*(version.since for version in self.versions[1:]), np.inf)
        for version, end in zip(self.versions, ends, strict=False):  # no versions have one end
            later = (time for time in remaining if version.since <= time < end)
            since = next(later, None) if version.since in forgotten else version.since
            if since is not None:
                versions.append(version._replace(since=since))
        item = self.item
        if versions:
            title, topics, price = versions[-1][1:]
            item = item.model_copy(update={"title": title, "topics": topics, "price": price})
        until = self.told_until
        if until in forgotten:
            until = max((time for time in remaining if time <= until), default=FROM_CATALOGUE)
        return self._replace(
            item=item, known_since=known_since, versions=versions if len(versions) > 1 else (), told_until=until
        )

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


def without_times_of(user_id: str, records: Sequence[ItemRecord], log: InteractionLog) -> list[ItemRecord]:
    """Return the records that change if a user's events had not happened (see `ItemRecord.without_times`)."""
    is_theirs = log.user == log.user_rows[user_id]
    forgotten = set(log.time[is_theirs].tolist())
    rows = log.rows([record.item.item_id for record in records])
    is_asked = np.isin(log.item, rows) & ~is_theirs
    item, time = log.item[is_asked], log.time[is_asked]
    new = [
        record.without_times(forgotten, time[item == row].tolist()) for record, row in zip(records, rows, strict=True)
    ]
    return [after for after, before in zip(new, records, strict=True) if after != before]
