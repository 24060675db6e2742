"""Users' histories in Chroma, in chunks of JSON, each with the user's taste vector.

Each record of the collection `users` has one chunk of a user's history as its metadata. The vector of the first chunk
is the user's taste, a weighted mean of the item vectors of their latest events. Later events have higher weights.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from zlib import compress, crc32, decompress
from zlib import error as zlib_error

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.event_meanings import STRENGTHS, Meaning, meaning_of
from whimbrel.tools.records import Occurrence
from whimbrel.tools.store.chroma import Database
from whimbrel.tools.text.encoder import Vectors

COLLECTION = "users"
CHUNK_SIZE = 5000  # events; CHUNK_SIZE and CHUNK_MARK are part of the format on disk
CHUNK_MARK = "\x1f"  # separates user id and chunk number; a user id contains no control character
_HISTORY_KEY = "history"  # one key, since Chroma writes a row and two index entries for each
TASTE_HALF_LIFE = 20
"""An item's weight in the taste vector halves with every this many later events of the user."""
TASTE_EVENTS = 10 * TASTE_HALF_LIFE  # the weight of an older event would be less than 1/1000 of the latest one's

Histories = dict[str, list[Occurrence]]
VectorsOf = Callable[[Sequence[str]], Mapping[str, Vectors]]


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
                _record_id(_user_of(record_id), number)
                for record_id, metadata in first_chunks
                for number in range(1, _chunk_count(metadata))
            ]
            return _decoded([*first_chunks, *self._database.get(COLLECTION, later_ids, "metadatas")])

    def lacking(self, events: Iterable[tuple[str, Occurrence]]) -> list[tuple[str, Occurrence]]:
        """Return those of some users' events that their records do not have."""
        events = list(events)
        stored = self.read(list({user_id for user_id, _ in events}))
        keys = {user_id: {occurrence.key for occurrence in history} for user_id, history in stored.items()}
        return [(user_id, event) for user_id, event in events if event.key not in keys.get(user_id, ())]

    def chunks(self) -> Iterator[tuple[str, list[list[Any]]]]:
        """Yield the id of a user and the rows of one chunk of their history: time, item, word, rating, situation.

        The last values of a row may be missing. The chunks are not sorted.
        """
        for page in self._database.pages(COLLECTION, "metadatas"):
            for record_id, metadata in page:
                yield _user_of(record_id), _rows(metadata)

    def merge(
        self,
        additions: Mapping[str, Sequence[Occurrence]],
        vectors_of: VectorsOf,
        meanings: Mapping[str, Meaning] | None = None,
    ) -> int:
        """Add events to users' histories. Equal events count once.

        Args:
            additions: The events to add, each once and in order of `Occurrence.key`, keyed by user.
            vectors_of: Returns the vectors of items, keyed by id. It must know every item of the events.
            meanings: The store's own meanings of event words. A weak event weighs less in the taste vector.

        Returns:
            The number of new events.
        """
        stored = self.read(list(additions))
        new_events, changed = 0, Histories()
        for user_id, occurrences in additions.items():
            if user_id not in stored:
                new_events += len(occurrences)
                changed[user_id] = list(occurrences)
                continue
            old = {occurrence.key: occurrence for occurrence in stored[user_id]}
            merged = {occurrence.key: occurrence for occurrence in occurrences} | old
            if len(merged) > len(old):
                new_events += len(merged) - len(old)
                changed[user_id] = [merged[key] for key in sorted(merged)]
        if changed:
            vectors = vectors_of(sorted({o.item_id for history in changed.values() for o in history}))
            self._write(changed, vectors, meanings)
        return new_events

    def replace(
        self,
        user_id: str,
        history: Sequence[Occurrence],
        kept: Sequence[Occurrence],
        vectors_of: VectorsOf,
        meanings: Mapping[str, Meaning] | None = None,
    ) -> None:
        """Replace the history of a user by the part of it that is kept. Without any, the user's records are removed."""
        if kept:
            self._write({user_id: list(kept)}, vectors_of(sorted({o.item_id for o in kept})), meanings)
        numbers = range(-(-len(kept) // CHUNK_SIZE), -(-len(history) // CHUNK_SIZE))
        self._database.delete(COLLECTION, [_record_id(user_id, number) for number in numbers])

    def restore_vectors(self, vectors_of: VectorsOf, meanings: Mapping[str, Meaning] | None = None) -> None:
        """Compute the taste vectors of all users again."""
        for page in self._database.pages(COLLECTION, "metadatas"):
            histories = self.read(list(dict.fromkeys(_user_of(record_id) for record_id, _ in page)))
            vectors = vectors_of(sorted({o.item_id for history in histories.values() for o in history}))
            self._write(histories, vectors, meanings)

    def nearest(self, vector: Vectors, *, n: int) -> list[str]:
        """Return up to `n` users whose taste vectors are nearest to `vector`, the nearest first."""
        (records,) = self._database.nearest(COLLECTION, vector[None], n=n)
        return [_user_of(record_id) for record_id, _ in records if _chunk_of(record_id) == 0]

    def _write(
        self, histories: Histories, vectors: Mapping[str, Vectors], meanings: Mapping[str, Meaning] | None
    ) -> None:
        strengths = _Strengths(meanings)
        rows = {item_id: row for row, item_id in enumerate(vectors)}
        matrix = np.stack(list(vectors.values()))
        ids: list[str] = []
        tastes: list[Vectors] = []
        metadatas: list[dict[str, Any]] = []
        for user_id, history in histories.items():
            chunks = [history[start : start + CHUNK_SIZE] for start in range(0, len(history), CHUNK_SIZE)]
            latest = history[-TASTE_EVENTS:]
            of_items = matrix[[rows[o.item_id] for o in latest]]
            taste = taste_vector(of_items, [strengths[o.event] for o in latest])
            for number, chunk in enumerate(chunks):
                ids.append(_record_id(user_id, number))
                tastes.append(_far_vector(ids[-1], len(taste)) if number else taste)
                metadatas.append({_HISTORY_KEY: _encoded(chunk, len(chunks))})
        self._database.upsert(COLLECTION, ids, np.stack(tastes), metadatas)


def _user_of(record_id: str) -> str:
    return record_id.partition(CHUNK_MARK)[0]


def _record_id(user_id: str, chunk: int) -> str:
    return f"{user_id}{CHUNK_MARK}{chunk}"


def _chunk_of(record_id: str) -> int:
    return int(record_id.partition(CHUNK_MARK)[2])


def _far_vector(record_id: str, size: int) -> Vectors:
    """Return the vector of a later chunk: a unit vector that is near nothing and always the same for this record.

    With the taste vector here, 33 chunks of one user would be each other's only neighbours in Chroma's HNSW graph,
    which keeps at most 32 of a record. A search that starts at one of them would reach no other user.
    """
    vector = np.random.default_rng(crc32(record_id.encode())).standard_normal(size)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _decoded(records: Iterable[tuple[str, Mapping[str, Any]]]) -> Histories:
    """Return the histories in these records, keyed by user. The events were validated when they were written."""
    histories = Histories()
    for record_id, metadata in records:
        histories.setdefault(_user_of(record_id), []).extend(Occurrence(*row) for row in _rows(metadata))
    return histories


def _encoded(chunk: Sequence[Occurrence], chunk_count: int) -> str:
    """Return a chunk as text. Chroma keeps each text three times, so it is compressed."""
    text = json.dumps([chunk_count, chunk], separators=(",", ":"))
    return b64encode(compress(text.encode(), 1)).decode()


def _contents(metadata: Mapping[str, Any]) -> list[Any]:
    """Return the number of a user's chunks and the rows of this chunk."""
    if "events" in metadata:  # written by format 2
        return [metadata["chunks"], json.loads(metadata["events"])]
    try:
        return list(json.loads(decompress(b64decode(metadata[_HISTORY_KEY]))))
    except zlib_error as error:
        raise ValueError(str(error)) from error


def _rows(metadata: Mapping[str, Any]) -> list[list[Any]]:
    return list(_contents(metadata)[1])


def _chunk_count(metadata: Mapping[str, Any]) -> int:
    return int(_contents(metadata)[0])


class _Strengths(dict[str, float]):
    """How much an event counts as interest, keyed by its word."""

    def __init__(self, meanings: Mapping[str, Meaning] | None) -> None:
        super().__init__()
        self._meanings = meanings

    def __missing__(self, word: str) -> float:
        self[word] = STRENGTHS.get(meaning_of(word, self._meanings) or "", 1.0)
        return self[word]


def _age_weights(count: int) -> NDArray[np.float64]:
    return np.asarray(0.5 ** (np.arange(count)[::-1] / TASTE_HALF_LIFE))


_AGE_WEIGHTS = _age_weights(TASTE_EVENTS)


def taste_vector(vectors: Sequence[Vectors] | Vectors, strengths: Sequence[float] | None = None) -> Vectors:
    """Return the weighted mean of a user's item vectors, scaled to unit length.

    Args:
        vectors: The item vectors of the user's latest events, the earliest event first. There must be at least one.
            The weight doubles every TASTE_HALF_LIFE events.
        strengths: How much each event counts as interest; None for 1 each.
    """
    weights = _AGE_WEIGHTS[-len(vectors) :] if len(vectors) <= TASTE_EVENTS else _age_weights(len(vectors))
    weights = weights if strengths is None else weights * np.asarray(strengths)
    mean = weights @ np.asarray(vectors)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
