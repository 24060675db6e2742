"""Read a source to its end into a staging database, or go on from what a killed ingestion had read."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory

from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staging import Staging
from whimbrel.tools.store.store import Store
from whimbrel.tools.timestamps import DAY_SECONDS

OBJECTS_BETWEEN_COLLECTIONS = 500_000
FIRST_ROWS = 1000
"""If none of this many first rows is valid, the source is refused."""
REASONS_SHOWN = 2
KEPT_SECONDS = 7 * DAY_SECONDS
"""How long what was read is kept for an ingestion that was stopped."""


@contextmanager
def staged(
    source: Source, progress: Progress | None = None, *, store: Store | None = None, kept: Path | None = None
) -> Iterator[Staging]:
    """Read a source to its end into a temporary database.

    Args:
        source: The rows.
        progress: Shows the progress of the reading.
        store: The store that may know items which no row describes.
        kept: The file of the database. If the process is stopped after the reading, the file stays, and the next one
            goes on from it. None for a file that does not outlive this process.

    Raises:
        DataError: The source cannot be read to its end, none of its first rows is valid, or it holds no valid event.
    """
    import duckdb

    progress = progress or NoProgress()
    with TemporaryDirectory(prefix="whimbrel-") as folder, _rare_collection():
        path = kept or Path(folder) / "staging.duckdb"
        staging = _opened(path)
        try:
            if not staging.is_complete:
                _stage(source, staging, progress, store)
                staging.keep()
            yield staging
            staging.is_complete = False  # nothing is left to go on from
        except duckdb.Error as error:
            raise StoreError(
                f"the ingestion stopped ({error}): is the disk full? Run it again to complete it"
            ) from error
        finally:
            staging.close()
            if not staging.is_complete:
                _remove(path)


def _opened(path: Path) -> Staging:
    """Open a staging database. What an unfinished reading left is removed."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob("*.duckdb"):
        with suppress(OSError):
            if old.stat().st_mtime < time.time() - KEPT_SECONDS:
                old.unlink()
    with suppress(duckdb.Error, ValueError, KeyError, TypeError):
        if path.exists():
            staging = Staging(path)
            if staging.is_complete:
                return staging
            staging.close()
    _remove(path)
    return Staging(path)


def _remove(path: Path) -> None:
    for file in (path, path.with_name(path.name + ".wal")):
        file.unlink(missing_ok=True)


def kept_file(source: Source, location: str | Path) -> Path | None:
    """Return the file from which an ingestion of the same source into the same store goes on; None if none can."""
    if not source.fingerprint:
        return None
    address = str(location) if str(location).startswith(("http://", "https://")) else str(Path(location).resolve())
    name = blake2b(f"{address}\n{source.fingerprint}".encode(), digest_size=12).hexdigest()
    return cache_folder() / "staging" / f"{name}.duckdb"


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Let Python look for cycles rarely.

    Batches are lists of many cells without a cycle. Walking through them took a third of the time of reading.
    """
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _stage(source: Source, staging: Staging, progress: Progress, store: Store | None) -> None:
    progress.step(f"Reading {clean_text(source.name)}", source.total)
    counts, position = staging.counts, 0
    for batch in source.batches():
        staging.add(batch)
        progress.advance(batch.position - position)
        position = batch.position
        if counts.rows >= FIRST_ROWS and counts.rejected == counts.rows:
            raise DataError(f"no valid row among the first {counts.rows:,} of {source.name!r}: {_most_common(staging)}")
    staging.finish_reading(lambda item_ids: _unknown(item_ids, store))
    if not counts.valid and counts.rejected + counts.item_rejected:
        raise DataError(
            f"no valid row among {counts.rows + counts.item_rows:,} of {source.name!r}: {_most_common(staging)}"
        )
    if not counts.valid:
        raise DataError(f"{source.name!r} holds no events")


def _unknown(item_ids: list[str], store: Store | None) -> list[str]:
    known = store.item_records(item_ids) if store and item_ids else {}
    return [item_id for item_id in item_ids if item_id not in known]


def _most_common(staging: Staging) -> str:
    reasons = staging.reject_reasons()[:REASONS_SHOWN]
    return "; ".join(f"{reason} ({count:,}, first at line {line})" for reason, count, line in reasons)
