"""Cut a published data set into cases by leave-one-out, the protocol of most papers on sequential recommendation.

The last event of each user is the case. Systems learn from all other events. Hence systems also learn from events of
other people that came after the case. `folds` never does this, so its figures are lower and closer to real use.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.evals.data.folds import Fold, event_document, rows_by_user, session_documents, write_documents
from whimbrel.evals.data.logs import Log, read_log
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.interaction_log import Ints
from whimbrel.tools.progress import Progress
from whimbrel.tools.sources.amazon import is_amazon
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.rows import Batch, Source

CORE = 5
"""In a 5-core, each user and each item has at least this many events."""
CSV_COLUMNS = (
    ("user", "user_id"),
    ("item", "item_id"),
    ("item", "title"),  # the file has no titles, so the id of an item is its title
    ("rating", "rating"),
    ("timestamp", "time"),
)
"""The columns of ratings as CSV, with the field of each."""
_REVIEW = "Petrov & Macdonald, RecSys 2022 (BERT4Rec replicability)"
_RECTOOLS = "RecTools, benchmark bert4rec_repro"
_ESASREC = "eSASRec, RecSys 2025, benchmark transformer_benchmark"


@dataclass(frozen=True)
class PublishedFigure:
    """What others report for a system under the same protocol."""

    system: str
    ndcg_at_10: float
    recall_at_10: float
    source: str


@dataclass(frozen=True)
class DataSet:
    """A published data set.

    Attributes:
        read: Opens the file or folder.
        core: Keep only users and items with at least this many events. 1 keeps all.
        figures: What others report.
    """

    read: Callable[[Path], Source]
    core: int
    figures: tuple[PublishedFigure, ...]


def _read_movielens(path: Path) -> Source:
    return open_source(str(path), format="movielens")


def _read_ratings(path: Path) -> Source:
    """Open Amazon reviews, or a CSV file with the columns `user,item,rating,timestamp`."""
    if path.suffix == ".csv" and not is_amazon(path):
        return open_source(str(path), format="csv", mapped=CSV_COLUMNS)
    return open_source(str(path), format="amazon")


DATA_SETS: Mapping[str, DataSet] = {
    "ml-1m": DataSet(
        _read_movielens,
        core=1,
        figures=(
            PublishedFigure("eSASRec", 0.1772, 0.3133, _ESASREC),
            PublishedFigure("SASRec (RecTools)", 0.1779, 0.3058, _RECTOOLS),
            PublishedFigure("BERT4Rec (RecBole)", 0.0546, 0.1061, _REVIEW),
        ),
    ),
    "beauty": DataSet(
        _read_ratings,
        core=CORE,
        figures=(
            PublishedFigure("eSASRec", 0.0523, 0.0928, _ESASREC),
            PublishedFigure("SASRec, sampled softmax", 0.0531, 0.0921, _ESASREC),
        ),
    ),
}
"""The data sets by name. ML-1M is used whole, since each of its users has at least 20 ratings."""


def read_published(name: str, path: Path, progress: Progress | None = None) -> Log:
    """Read a published data set. Events are ordered by time, and events at the same time as in the file.

    Raises:
        ConfigError: The name is not one of DATA_SETS.
        DataError: The data cannot be read, or no event is left after the filtering.
    """
    if name not in DATA_SETS:
        raise ConfigError(f"{name!r} is no published data set: give one of {', '.join(DATA_SETS)}")
    data_set = DATA_SETS[name]
    source = data_set.read(path)
    order: dict[tuple[str, str], int] = {}
    log = read_log(replace(source, rows=(), columns=_noting_order(source.batches(), order)), progress)
    pairs = ((log.user_ids[user], log.items[item].item_id) for user, item in zip(log.user, log.item, strict=True))
    in_file = np.array([order.get(pair, len(order)) for pair in pairs], dtype=np.int64)
    rows = np.lexsort((in_file, log.time))
    kept = rows[in_core(log.user[rows], log.item[rows], core=data_set.core)]
    if not len(kept):
        raise DataError(f"{str(path)!r}: no user and item have {data_set.core} events each")
    return _selected(log, kept)


def _noting_order(batches: Iterator[Batch], order: dict[tuple[str, str], int]) -> Iterator[Batch]:
    """Yield the same batches, and note the position in the file of each pair of user and item."""
    for batch in batches:
        if not batch.catalogue:
            for pair in zip(batch.columns["user_id"], batch.columns["item_id"], strict=True):
                order.setdefault((str(pair[0]), str(pair[1])), len(order))
        yield batch


def in_core(user: Ints, item: Ints, *, core: int) -> NDArray[np.bool_]:
    """Return which events are in the k-core: the largest part in which all users and items have enough events.

    Args:
        user: The user of each event, shape (events,).
        item: The item of each event, shape (events,).
        core: The smallest number of events of a user and of an item.

    Returns:
        Whether each event is kept, shape (events,).

    Example:
        >>> in_core(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0]), core=2).tolist()
        [True, True, True, True, False]
    """
    kept = np.ones(len(user), dtype=bool)
    while True:
        # Without an event its user or item may fall below the limit too, so the filter runs until nothing changes.
        of_user, of_item = np.bincount(user[kept], minlength=1), np.bincount(item[kept], minlength=1)
        left = kept.copy()
        left[kept] = (of_user[user[kept]] >= core) & (of_item[item[kept]] >= core)
        if left.sum() == kept.sum():
            return kept
        kept = left


def _selected(log: Log, rows: Ints) -> Log:
    """Return a log with these events in this order, and with the users and items that they hold."""
    users, user = np.unique(log.user[rows], return_inverse=True)
    items, item = np.unique(log.item[rows], return_inverse=True)
    return replace(
        log,
        items=[log.items[row] for row in items],
        user_ids=[log.user_ids[row] for row in users],
        user=user.astype(np.int64),
        item=item.astype(np.int64),
        time=log.time[rows],
        details=[log.details[row] for row in rows] if log.details else None,
    )


def write_leave_one_out(log: Log, folder: Path, *, users: int | None = None, seed: int = 0) -> Fold:
    """Write the cases, the training sessions and the items of a log to a folder.

    The last event of every user is left out of the training sessions, also if the user has no case.

    Args:
        log: The log, whose events are in order.
        folder: An existing folder.
        users: The largest number of cases, which are drawn at random; None for all.
        seed: The seed of the random numbers.

    Raises:
        DataError: No user has two events.
    """
    by_user = list(rows_by_user(log))
    cases = np.array([user for user, rows in enumerate(by_user) if len(rows) > 1], dtype=np.int64)
    if not len(cases):
        raise DataError("no user has two events, so there is nothing to predict")
    if users is not None and len(cases) > users:
        cases = np.sort(np.random.default_rng(seed).choice(cases, users, replace=False))
    earlier = np.sort(np.concatenate([rows[:-1] for rows in by_user]))
    fold = Fold(folder / "cases.jsonl", folder / "sessions.jsonl", folder / "items.jsonl", len(cases))
    write_documents(fold.items, (item.model_dump(mode="json", exclude_defaults=True) for item in log.items))
    write_documents(fold.sessions, session_documents(log, earlier))
    write_documents(fold.cases, (_case(log, by_user[user]) for user in cases))
    return fold


def _case(log: Log, rows: Ints) -> dict[str, Any]:
    """Return the case of a user with these events. It has no time, since papers do not show it to systems."""
    user_id, last = log.user_ids[log.user[rows[0]]], log.items[log.item[rows[-1]]].item_id
    met = sorted({log.items[row].item_id for row in log.item[rows[:-1]]})
    return {
        "case_id": user_id,
        "user_id": user_id,
        "history": [event_document(log, row) for row in rows[:-1]],
        "at": None,
        "candidates": "catalogue",
        "met": met,
        # Items that the user has are not ranked, so a repeated item cannot be found. The case then counts in no mean.
        "relevant": [] if last in met else [last],
    }
