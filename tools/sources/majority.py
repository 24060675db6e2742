"""The facts of an item by majority: of each attribute, what most rows told up to a moment.

A shop renames an item and mistypes a category now and then. The first row is no better than the others, and the last
one would tell the past what came later.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from whimbrel.tools.clean import same_text
from whimbrel.tools.records import Item
from whimbrel.tools.store.item_records import FROM_CATALOGUE, ItemRecord, Version

MOST_VERSIONS = 1000
"""Most versions of an item's facts that are kept: the first one and the latest ones."""


class Told(NamedTuple):
    """What rows told about an item at one time.

    Attributes:
        item_id: The item.
        title: Its title; "" if it was not told.
        topics: Its topics as a JSON list.
        text: Its description; "" if it was not told.
        price: Its price.
        image: Its image.
        fields: Its further facts as a JSON object; "" if there are none.
        appeared: When it appeared, in Unix seconds.
        at: The time of the event, or `FROM_CATALOGUE`.
        events: How many events told it.
    """

    item_id: str
    title: str
    topics: str
    text: str
    price: float | None
    image: str | None
    fields: str
    appeared: float | None
    at: float
    events: int


class _Leader:
    """The value of an attribute that was told most often so far. Of equals, the one that led before."""

    def __init__(self, value: Any, count: int = 0) -> None:
        self._counts: Counter[Any] = Counter({value: count} if count else {})
        self._settled = False
        self.value = value

    @property
    def count(self) -> int:
        """How many events told the value."""
        return int(self._counts.get(self.value, 0))

    def add(self, value: Any, told: Told) -> None:
        """Count a value. An empty one does not count, and a catalogue is right about what it tells."""
        if not value or self._settled:
            return
        self._settled = told.at == FROM_CATALOGUE
        self._counts[value] += told.events
        if self._settled or self._counts[value] > self._counts.get(self.value, 0):
            self.value = value


def merged_facts(
    item_id: str, rows: Sequence[Told], spelling: Mapping[str, str], before: ItemRecord | None = None
) -> ItemRecord | None:
    """Return an item with its facts; None if no row tells a title.

    The price is the one that was told last, unless a catalogue tells it.

    Args:
        item_id: The item.
        rows: What was told about it, in order of time, a catalogue first.
        spelling: The spelling of topics, keyed by `same_text`.
        before: What earlier sources told, if all of these rows are later. The rows continue it, as if they were of the
            same source: a shop exports month by month.
    """
    title, topics, text, image = _Leader(""), _Leader(()), _Leader(""), _Leader(None)
    price: float | None = None
    price_settled = False
    appeared: float | None = None
    fields: dict[str, Any] = {}
    versions: list[Version] = []
    known_since: float | None = None
    if before is not None:
        item, known_since = before.item, before.known_since
        title, topics = (
            _Leader(item.title, before.votes[0]),
            _Leader(item.topics, before.votes[1] if item.topics else 0),
        )
        text, image = (
            _Leader(item.text, before.votes[0] if item.text else 0),
            _Leader(item.image, int(bool(item.image))),
        )
        price, appeared, fields = item.price, item.time, dict(item.fields)
        versions = list(before.versions) or [Version(known_since, item.title, item.topics, price)]
    for told in rows:
        known_since = told.at if known_since is None else known_since
        title.add(told.title, told)
        topics.add(tuple(dict.fromkeys(spelling.get(same_text(t), t) for t in json.loads(told.topics))), told)
        text.add(told.text, told)
        image.add(told.image, told)
        if told.price is not None and not price_settled:
            price, price_settled = told.price, told.at == FROM_CATALOGUE
        appeared = told.appeared if appeared is None else appeared
        fields = (json.loads(told.fields) if told.fields else {}) | fields
        version = Version(told.at, title.value, topics.value, price)
        if not versions or versions[-1][1:] != version[1:]:
            if len(versions) == MOST_VERSIONS:
                del versions[1]
            versions.append(version)
    if not title.value or known_since is None:
        return None
    item = Item(
        item_id=item_id,
        title=title.value,
        topics=topics.value,
        text=text.value,
        price=price,
        image=image.value,
        time=appeared,
        fields=fields,
    )
    until = max([told.at for told in rows] + ([before.told_until] if before else []))
    votes = (max(title.count, 1), max(topics.count, 1))
    return ItemRecord(item, known_since, tuple(versions) if len(versions) > 1 else (), until, votes)


def record_of(
    item_id: str, rows: Sequence[Told], spelling: Mapping[str, str], stored: ItemRecord | None
) -> ItemRecord | None:
    """Return what the store and the rows together tell about an item; None if neither tells a title."""
    if stored is not None and rows[0].at > stored.told_until > FROM_CATALOGUE:
        return merged_facts(item_id, rows, spelling, stored)
    staged = merged_facts(item_id, rows, spelling)
    return stored if staged is None else _merged(stored, staged)


def _merged(stored: ItemRecord | None, staged: ItemRecord) -> ItemRecord:
    """Merge two records of an item. The facts that became known first win; the other record fills in the rest.

    If both became known at the same time, the staged facts win, so that a corrected source can be read again. What an
    earlier part of the log tells becomes the first version.
    """
    if stored is None:
        return staged
    if FROM_CATALOGUE < staged.told_until < stored.known_since:
        return stored._replace(known_since=staged.known_since, versions=(*_versions(staged), *_versions(stored)))
    is_catalogue = staged.known_since == FROM_CATALOGUE
    is_corrected = staged.known_since <= stored.known_since and (is_catalogue or staged.told_until >= stored.told_until)
    earlier, later = (staged, stored) if is_corrected else (stored, staged)
    earlier_facts = {name: getattr(earlier.item, name) for name in earlier.item.model_fields_set}
    facts = {name: value for name, value in earlier_facts.items() if value not in (None, "", (), {})}
    facts["fields"] = later.item.fields | earlier.item.fields
    until = max(staged.told_until, stored.told_until)
    item = later.item.model_copy(update=facts)
    known_since = min(earlier.known_since, later.known_since)
    return ItemRecord(item, known_since, earlier.versions, until, earlier.votes)


def _versions(record: ItemRecord) -> Sequence[Version]:
    item = record.item
    return record.versions or (Version(record.known_since, item.title, item.topics, item.price),)
