"""A snapshot of a store in a folder: everything that requests read, in files that several processes share.

One process at a time may open a store in a folder. It writes a snapshot, and the processes that recommend open that.
They map its arrays, so the memory holds each array only once. A request then needs no search in Chroma.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.fitted import Fitted
from whimbrel.tools.errors import StoreError, WhimbrelError
from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Interaction, Item, Occurrence, strength
from whimbrel.tools.store.in_memory import InMemory, KnownVectors
from whimbrel.tools.store.store import Store
from whimbrel.tools.store.user_records import TASTE_EVENTS, taste_vector
from whimbrel.tools.text.encoder import DIMENSION
from whimbrel.tools.text.encoders import encoder_named
from whimbrel.tools.timestamps import zone_of

ITEMS, FACTS, FITTED = "items.jsonl", "facts.json", "fitted"
VECTORS, TASTES, TOPIC_VECTORS = "vectors.npy", "tastes.npy", "topic_vectors.npy"
MODALITY = "modality_{}.npy"
WORD, RATING = "word.npy", "rating.npy"
PAGE = 10_000
"""Items that are read from the store at a time."""


@dataclass(frozen=True)
class Snapshot:
    """An open snapshot.

    Attributes:
        catalogue: The items and the log, with the same answers as the store. Nearest items and users are searched
            exactly. The index of a store is approximate, so few of its answers differ.
        fitted: What was learned from the store.
    """

    catalogue: InMemory
    fitted: Fitted


def write_snapshot(store: Store, folder: Path, *, before: float, progress: Progress) -> None:
    """Write a snapshot of a store. The folder appears when the snapshot is whole.

    If the history of a user cannot be read, the snapshot holds the reason, and reading that history raises it.

    Args:
        store: The store.
        folder: The folder to make. If it exists, nothing is done.
        before: The moment of the requests. The facts of items are those that were known just before it.
        progress: Displays how many users have been read.

    Raises:
        StoreError: the items cannot be read.
    """
    if folder.is_dir():
        return
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_items(store, partial, before=before)
    lists = _write_log(store.log, partial)
    topic_vectors = store.topic_vectors()
    np.save(partial / TOPIC_VECTORS, np.array(list(topic_vectors.values()), dtype=np.float32))
    words, damaged = _write_histories(store, partial, progress)
    facts = {
        "lists": lists,
        "words": words,
        "damaged": damaged,
        "topics": list(topic_vectors),
        "meanings": store.settings.meanings,
        "zone": str(store.settings.zone),
        "min_people": store.min_people,
        "marks": store.marks,
        "encoder": store.encoder.name,
        "modalities": _write_modalities(store, partial),
    }
    (partial / FACTS).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
    if store.fitted.is_dir():
        shutil.copytree(store.fitted, partial / FITTED)
    partial.replace(folder)


def open_snapshot(folder: Path) -> Snapshot:
    """Open a snapshot that `write_snapshot` wrote. Its arrays are mapped and not read.

    Raises:
        StoreError: the snapshot is damaged.
    """
    try:
        return _open(folder)
    except WhimbrelError:
        raise
    # Of a damaged array, numpy raises almost any exception, such as TokenError.
    except Exception as error:
        raise StoreError(f"{str(folder.parent)!r} is damaged ({error}): remove it to start again") from error


def _open(folder: Path) -> Snapshot:
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    of_log: dict[str, Any] = {
        name: facts["lists"][name] if name in facts["lists"] else _mapped(_log_file(folder, name))
        for name in _log_fields()
    }
    log = InteractionLog(**of_log)
    log.require_consistent()
    with (folder / ITEMS).open("rb") as lines:
        items = [Item.model_validate_json(line) for line in lines]
    topic_vectors = dict(zip(facts["topics"], _mapped(folder / TOPIC_VECTORS), strict=True))
    catalogue = InMemory(
        items,
        log,
        timed=True,
        histories=_Histories(log, facts["words"], _mapped(folder / WORD), _mapped(folder / RATING), facts["damaged"]),
        meanings=facts["meanings"],
        zone=zone_of(facts["zone"]),
        min_people=facts["min_people"],
        marks=facts["marks"],
        encoder=encoder_named(facts["encoder"]),
        vectors=KnownVectors(_mapped(folder / VECTORS), _mapped(folder / TASTES), topic_vectors),
        modalities={name: _mapped(folder / MODALITY.format(name)) for name in facts["modalities"]},
    )
    return Snapshot(catalogue, Fitted.load(folder / FITTED))


class _Histories(Mapping[str, Sequence[Occurrence]]):
    """The histories of all users, which are made from arrays when they are read."""

    def __init__(
        self,
        log: InteractionLog,
        words: Sequence[str],
        word: NDArray[np.int32],
        rating: Floats,
        damaged: Mapping[str, str],
    ) -> None:
        self._log = log
        self._words, self._word, self._rating = words, word, rating
        self._damaged = damaged
        self._situations = [json.loads(text) if text else None for text in log.situations]
        self._events = _events_by_user(log)

    def __getitem__(self, user_id: str) -> list[Occurrence]:
        if user_id in self._damaged:
            raise StoreError(self._damaged[user_id])
        log, events = self._log, self._events[self._log.user_rows[user_id]]
        return [
            # A rating that is not known is NaN, which differs from itself.
            Occurrence(time, log.item_ids[item], self._words[word], rating if rating == rating else None, situation)
            for time, item, word, rating, situation in zip(
                log.time[events].tolist(),
                log.item[events].tolist(),
                self._word[events].tolist(),
                self._rating[events].tolist(),
                [self._situations[row] for row in log.situation[events].tolist()],
                strict=True,
            )
        ]

    def __iter__(self) -> Iterator[str]:
        return iter(self._log.user_ids)

    def __len__(self) -> int:
        return len(self._log.user_ids)


def _write_items(store: Store, folder: Path, *, before: float) -> None:
    """Write the items and their vectors, in the order of the log."""
    item_ids = store.log.item_ids
    vectors = _new_array(folder / VECTORS, np.float32, (len(item_ids), DIMENSION))
    with (folder / ITEMS).open("w", encoding="utf-8") as file:
        for start in range(0, len(item_ids), PAGE):
            page = item_ids[start : start + PAGE]
            items, of_items = store.items(page, before=before), store.item_vectors(page)
            if len(items) < len(page) or len(of_items) < len(page):
                raise StoreError(f"store {store.location!r} lacks an item of its log: ingest into a new one")
            file.writelines(item.model_dump_json(exclude_defaults=True) + "\n" for item in items.values())
            vectors[start : start + len(page)] = list(of_items.values())


def _write_modalities(store: Store, folder: Path) -> list[str]:
    """Write the further vectors of the items, a file for each modality. Return the names of the modalities."""
    item_ids, names = store.log.item_ids, store.modalities.names
    for name in names:
        maker = store.modalities.maker(name)
        shape = len(item_ids), maker.length if maker else 0
        table = _new_array(folder / MODALITY.format(name), np.float32, shape)
        table[:] = np.nan
        for start in range(0, len(item_ids), PAGE):
            page = item_ids[start : start + PAGE]
            known = store.modalities.of(page)[name]
            rows = [start + row for row, item_id in enumerate(page) if item_id in known]
            if rows:
                table[rows] = list(known.values())
    return names


def _write_log(log: InteractionLog, folder: Path) -> dict[str, list[str]]:
    """Write the arrays of a log, a file for each. Return its lists of names, keyed by field."""
    lists: dict[str, list[str]] = {}
    for name in _log_fields():
        value = getattr(log, name)
        if isinstance(value, list):
            lists[name] = value
        else:
            np.save(_log_file(folder, name), value)
    return lists


def _write_histories(store: Store, folder: Path, progress: Progress) -> tuple[list[str], dict[str, str]]:
    """Write the event words and ratings that the log lacks, and the users' taste vectors.

    Returns:
        The event words, and why each history that cannot be read is damaged, keyed by user.
    """
    log = store.log
    vectors = _mapped(folder / VECTORS)
    word = _new_array(folder / WORD, np.int32, (len(log.time),))
    rating = _new_array(folder / RATING, np.float64, (len(log.time),))
    tastes = _new_array(folder / TASTES, np.float32, (len(log.user_ids), DIMENSION))
    words: dict[str, int] = {}
    damaged: dict[str, str] = {}
    progress.step("Reading the store", len(log.user_ids))
    for user, (user_id, events) in enumerate(zip(log.user_ids, _events_by_user(log), strict=True)):
        try:
            history = _whole_history(store, user_id, len(events))
        except WhimbrelError as error:
            damaged[user_id] = str(error)
        else:
            # The events of a user have the same order in the log as in the history.
            word[events] = [words.setdefault(event.event, len(words)) for event in history]
            rating[events] = [np.nan if event.rating is None else event.rating for event in history]
            latest = events[-TASTE_EVENTS:]
            of_items = vectors[log.item[latest]]
            tastes[user] = taste_vector(of_items, [strength(event) for event in history[-TASTE_EVENTS:]])
        progress.advance(1)
    return list(words), damaged


def _whole_history(store: Store, user_id: str, events: int) -> list[Interaction]:
    try:
        history = store.history(user_id)
    except (KeyError, ValueError) as error:
        raise StoreError(
            f"the history of user {user_id!r} cannot be read ({error!r}): ingest into a new one"
        ) from error
    if len(history) != events:
        raise StoreError(
            f"the history of user {user_id!r} has {len(history)} events and the log {events}: ingest into a new one"
        )
    return history


def _events_by_user(log: InteractionLog) -> list[Ints]:
    """Return the positions of each user's events, in order of time."""
    order = np.argsort(log.user, kind="stable")
    return np.split(order, np.searchsorted(log.user[order], np.arange(1, len(log.user_ids))))


def _log_fields() -> list[str]:
    return [field.name for field in fields(InteractionLog)]


def _log_file(folder: Path, name: str) -> Path:
    return folder / f"log_{name}.npy"


def _new_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Make a file of an array, filled with zeros. What is written to the array is written to the file."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def _mapped(path: Path) -> NDArray[Any]:
    """Map the array of a file."""
    try:
        # As a plain array, since indexing an `np.memmap` is slower.
        return np.asarray(np.load(path, mmap_mode="r"))
    except ValueError:  # an empty array cannot be mapped
        return np.asarray(np.load(path))
