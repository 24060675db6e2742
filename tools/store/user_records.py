"""Users in Chroma: histories as JSON in chunks, under a taste vector.

Each record of the collection `users` holds one chunk of a user's history as its metadata. Its vector is the user's
taste: the mean of the item vectors of their latest events, the later ones weighing more. All chunks of one user have
the same vector.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from whimbrel.tools.records import Occurrence
from whimbrel.tools.store.chroma import Database
from whimbrel.tools.text.encoder import Vectors

COLLECTION = "users"
CHUNK_SIZE = 5000  # events; part of the format on disk, as is the mark in a record's id
CHUNK_MARK = "\x1f"  # a control character: no user id holds one
TASTE_HALF_LIFE = 20
"""Events after which an item weighs half as much in its user's taste vector."""
TASTE_EVENTS = 10 * TASTE_HALF_LIFE  # an older event would weigh less than a thousandth of the latest one

Histories = dict[str, list[Occurrence]]


class UserRecords:
    """The histories of all users, and who has a similar taste."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, user_ids: Sequence[str]) -> Histories:
        """Return the histories of these users, each in order; an unknown user is left out.

        Raises:
            StoreError: a record is damaged.
        """
        first_chunks = self._database.get(COLLECTION, [_record_id(user_id, 0) for user_id in user_ids], "metadatas")
        with self._database.decoding():
            later_ids = [
                _record_id(metadata["user_id"], number)
                for _, metadata in first_chunks
                for number in range(1, metadata["chunks"])
            ]
            return _decoded([*first_chunks, *self._database.get(COLLECTION, later_ids, "metadatas")])

    def events(self) -> Iterator[tuple[str, Occurrence]]:
        """Yield every event of every user with the user's id, in no order of time."""
        for page in self._database.pages(COLLECTION, "metadatas"):
            for user_id, history in _decoded(page).items():
                for occurrence in history:
                    yield user_id, occurrence

    def merge(
        self,
        additions: Mapping[str, Sequence[Occurrence]],
        vectors_of: Callable[[Sequence[str]], Mapping[str, Vectors]],
    ) -> int:
        """Add events to users' histories; equal events count once.

        Args:
            additions: Events by user, in any order.
            vectors_of: Returns the vectors of items by their ids. It must know every item of the events.

        Returns:
            How many events were new.
        """
        stored = self.read(list(additions))
        new_events, changed = 0, Histories()
        for user_id, occurrences in additions.items():
            old = {occurrence.key: occurrence for occurrence in stored.get(user_id, [])}
            merged = {occurrence.key: occurrence for occurrence in occurrences} | old
            if len(merged) > len(old):
                new_events += len(merged) - len(old)
                changed[user_id] = [merged[key] for key in sorted(merged)]
        if changed:
            vectors = vectors_of(sorted({o.item_id for history in changed.values() for o in history}))
            self._write(changed, vectors)
        return new_events

    def delete(self, user_id: str, event_count: int) -> None:
        """Remove the records of a user whose history has `event_count` events."""
        chunk_count = -(-event_count // CHUNK_SIZE)
        self._database.delete(COLLECTION, [_record_id(user_id, number) for number in range(chunk_count)])

    def nearest(self, vector: Vectors, *, n: int) -> list[str]:
        """Return up to `n` users whose taste vector is nearest to `vector`, the nearest first."""
        (records,) = self._database.nearest(COLLECTION, vector[None], n=n)
        return list(dict.fromkeys(record_id.partition(CHUNK_MARK)[0] for record_id, _ in records))

    def _write(self, histories: Histories, vectors: Mapping[str, Vectors]) -> None:
        ids: list[str] = []
        tastes: list[Vectors] = []
        metadatas: list[dict[str, Any]] = []
        for user_id, history in histories.items():
            chunks = [history[start : start + CHUNK_SIZE] for start in range(0, len(history), CHUNK_SIZE)]
            taste = taste_vector([vectors[occurrence.item_id] for occurrence in history[-TASTE_EVENTS:]])
            for number, chunk in enumerate(chunks):
                ids.append(_record_id(user_id, number))
                tastes.append(taste)
                metadatas.append(
                    {
                        "user_id": user_id,
                        "chunks": len(chunks),
                        "count": len(chunk),
                        "last": chunk[-1].time,
                        "events": json.dumps([_row(occurrence) for occurrence in chunk], separators=(",", ":")),
                    }
                )
        self._database.upsert(COLLECTION, ids, np.stack(tastes), metadatas)


def _record_id(user_id: str, chunk: int) -> str:
    return f"{user_id}{CHUNK_MARK}{chunk}"


def _row(occurrence: Occurrence) -> list[Any]:
    """The fields of an occurrence without those at the end that are None."""
    row = list(occurrence)
    while row[-1] is None:
        row.pop()
    return row


def _decoded(records: Iterable[tuple[str, Mapping[str, Any]]]) -> Histories:
    """Histories by user. The events were validated when they were written, so they are only parsed."""
    histories = Histories()
    for _, metadata in records:
        rows = json.loads(metadata["events"])
        histories.setdefault(metadata["user_id"], []).extend(Occurrence(*row) for row in rows)
    return histories


def taste_vector(vectors: Sequence[Vectors]) -> Vectors:
    """Return the weighted mean of the vectors of a user's items as a unit vector.

    Args:
        vectors: Of the items of the latest events, the first event first; at least one. An item weighs half as much
            as the one TASTE_HALF_LIFE events later.
    """
    ages = np.arange(len(vectors))[::-1]
    mean = np.average(np.stack(vectors), axis=0, weights=0.5 ** (ages / TASTE_HALF_LIFE))
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
