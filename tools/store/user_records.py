"""Users' histories in Chroma, in chunks of JSON, each with the user's taste vector.

Each record of the collection `users` has one chunk of a user's history as its metadata. Its vector is the user's taste,
a weighted mean of the item vectors of their latest events. Later events have higher weights. All chunks of one user
have the same vector.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from whimbrel.tools.records import Occurrence
from whimbrel.tools.store.chroma import Database
from whimbrel.tools.text.encoder import Vectors

COLLECTION = "users"
CHUNK_SIZE = 5000  # events; CHUNK_SIZE and CHUNK_MARK are part of the format on disk
CHUNK_MARK = "\x1f"  # separates user id and chunk number; a user id contains no control character
TASTE_HALF_LIFE = 20
"""An item's weight in the taste vector halves with every this many later events of the user."""
TASTE_EVENTS = 10 * TASTE_HALF_LIFE  # the weight of an older event would be less than 1/1000 of the latest one's

Histories = dict[str, list[Occurrence]]


class UserRecords:
    """The histories and taste vectors of all users."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, user_ids: Sequence[str]) -> Histories:
        """Return the histories of these users, in order of time, keyed by user. An unknown user is left out.

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
        """Yield every event of every user together with the user's id. The events are not sorted by time."""
        for page in self._database.pages(COLLECTION, "metadatas"):
            for user_id, history in _decoded(page).items():
                for occurrence in history:
                    yield user_id, occurrence

    def merge(
        self,
        additions: Mapping[str, Sequence[Occurrence]],
        vectors_of: Callable[[Sequence[str]], Mapping[str, Vectors]],
    ) -> int:
        """Add events to users' histories. Equal events count once.

        Args:
            additions: The events to add, in any order, keyed by user.
            vectors_of: Returns the vectors of items, keyed by id. It must know every item of the events.

        Returns:
            The number of new events.
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
        """Return up to `n` users whose taste vectors are nearest to `vector`, the nearest first."""
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
    """Return the fields of an occurrence, without the last fields that are None."""
    row = list(occurrence)
    while row[-1] is None:
        row.pop()
    return row


def _decoded(records: Iterable[tuple[str, Mapping[str, Any]]]) -> Histories:
    """Return the histories in these records, keyed by user. The events were validated when they were written."""
    histories = Histories()
    for _, metadata in records:
        rows = json.loads(metadata["events"])
        histories.setdefault(metadata["user_id"], []).extend(Occurrence(*row) for row in rows)
    return histories


def taste_vector(vectors: Sequence[Vectors]) -> Vectors:
    """Return the weighted mean of a user's item vectors, scaled to unit length.

    Args:
        vectors: The item vectors of the user's latest events, the earliest event first. There must be at least one.
            The weight doubles every TASTE_HALF_LIFE events.
    """
    ages = np.arange(len(vectors))[::-1]
    mean = np.average(np.stack(vectors), axis=0, weights=0.5 ** (ages / TASTE_HALF_LIFE))
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
