"""Check a store in a folder, and repair what can be computed again.

The records of a store are in SQLite, and its vectors in an index. A damaged index is removed, and the vectors are
computed again from the records. The log's file is built again from the records. Damaged records cannot be repaired.
"""

import json
import multiprocessing
import shutil
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.files.locks import exclusive
from whimbrel.tools.files.whole_files import MANIFEST, check_files
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.store.chroma import COLLECTIONS, RECORDS, SHARING_ADVICE, VECTORS, connect
from whimbrel.tools.store.clients import DATABASE_FILE
from whimbrel.tools.store.notes import Notes
from whimbrel.tools.store.purge import MARK
from whimbrel.tools.store.read_only import copied, why_read_only
from whimbrel.tools.store.seals import Seals
from whimbrel.tools.store.settings import Settings
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.store.vectors import compute_vectors

SQLITE_SECONDS = 10.0
LOST = "its vectors are removed, since no record can make them again: ingest the source again to add them"
"""What the repair of further vectors of items does. The store works without them."""


@dataclass(frozen=True)
class Damage:
    """A damaged part of a store.

    Attributes:
        part: The part, in words.
        problem: What is wrong with it.
        repair: How it is repaired, or what to do if it cannot be.
        can_be_repaired: Whether `repair_store` repairs it.
    """

    part: str
    problem: str
    repair: str
    can_be_repaired: bool = True

    def document(self) -> dict[str, Any]:
        """Return the damage as a JSON document."""
        return asdict(self)


def check_store(folder: Path, *, progress: Progress | None = None) -> list[Damage]:
    """Return what is damaged in a store. Nothing is changed, and no process may have the store open.

    Args:
        folder: The folder of the store.
        progress: Shows the progress.

    Raises:
        StoreError: there is no store, or it is in use.
    """
    progress = progress or NoProgress()
    if not (folder / DATABASE_FILE).is_file():
        raise StoreError(f"no store at {str(folder)!r}: check reads the folder of a store, not the address of a server")
    # Reading a database writes beside it, so a folder that cannot be written is checked as a copy.
    with copied(folder) if why_read_only(folder) else nullcontext(folder) as readable:
        return _damages(readable, progress)


def _damages(folder: Path, progress: Progress) -> list[Damage]:
    progress.step("Reading the files", None)
    with exclusive(folder, "store", advice=SHARING_ADVICE):
        changed = Seals(folder).broken(whole=True)
        damages = _database_damages(folder)
        if damages:
            return damages
        if DATABASE_FILE in changed:
            damages.append(
                Damage(
                    "records",
                    "a byte of the database is not what was written, though all of it can be read",
                    "all records are read again and kept as they are; compare them with a backup",
                )
            )
        if (folder / MARK).is_file():
            damages.append(
                Damage(
                    "deleted records",
                    "their bytes are still in the files",
                    "make some room on the disk, then run any other command on the store",
                    can_be_repaired=False,
                )
            )
        indexes = {name: _index_of(folder, name) for name in (*COLLECTIONS, *RECORDS, *_vectors_of(folder))}
    progress.step("Reading the index", len(indexes))
    for name, index in indexes.items():
        problem = next((f"{file} is not what was written" for file in changed if index and file.startswith(index)), "")
        problem = problem or _index_problem(folder, name)
        progress.advance(1)
        if problem:
            repair = LOST if name.startswith(VECTORS) else "the vectors are computed again from the records"
            damages.append(Damage(f"index of {name}", problem, repair))
    if not any(damage.part.startswith("index") for damage in damages):
        progress.step("Reading the records", None)
        damages += _record_damages(folder)
    return damages + _fitted_damages(folder)


def repair_store(folder: Path, damages: Sequence[Damage], *, progress: Progress | None = None) -> None:
    """Repair the damages that `check_store` returned.

    If it is stopped, check again and call it again.

    Raises:
        StoreError: a damage cannot be repaired, the folder cannot be written, or the store is in use.
    """
    progress = progress or NoProgress()
    if reason := why_read_only(folder):
        raise StoreError(f"store {str(folder)!r} cannot be repaired: {reason}")
    hopeless = [damage for damage in damages if not damage.can_be_repaired]
    if hopeless:
        raise StoreError(f"{hopeless[0].part} of store {str(folder)!r} cannot be repaired: {hopeless[0].repair}")
    names = [damage.part.removeprefix("index of ") for damage in damages if damage.part.startswith("index of ")]
    for damage in damages:
        if damage.part == "what was learned":
            shutil.rmtree(folder / "fitted", ignore_errors=True)
    with exclusive(folder, "store", advice=SHARING_ADVICE):
        Seals(folder).remove()
        for name in names:
            index = _index_of(folder, name)
            if index:
                shutil.rmtree(folder / index)
    if names:
        _restore_vectors(folder, names, progress)
    with open_store(folder, writing=True, damaged=True) as store:
        if any(damage.part == "log" for damage in damages):
            for path in folder.glob("log-*"):
                path.unlink()
        store.log  # noqa: B018 - it is built again if its file is absent


def _restore_vectors(folder: Path, names: Sequence[str], progress: Progress) -> None:
    """Compute the vectors of collections again from their records. Those of users need those of items."""
    database = connect(str(folder), create=False, writing=True, metadata={}, damaged=True)
    try:
        order = [*(name for name in names if name.startswith(VECTORS)), *COLLECTIONS, *RECORDS]
        for name in sorted(names, key=order.index):
            if name.startswith(VECTORS):
                database.drop(name)
            elif name in RECORDS:
                for page in database.pages(name, "metadatas"):
                    database.put(name, dict(page))
            else:
                compute_vectors(database, name, Settings(Notes(database)), progress)
    finally:
        database.close()


def _database_damages(folder: Path) -> list[Damage]:
    repair = "restore the folder from a backup, or ingest the sources again into a new folder"
    try:
        with sqlite3.connect(f"file:{folder / DATABASE_FILE}?mode=ro", uri=True, timeout=SQLITE_SECONDS) as database:
            rows = [str(row[0]) for row in database.execute("pragma integrity_check(5)")]
            database.execute("select count(*) from collections").fetchone()
    except sqlite3.Error as error:
        return [Damage("database", str(error), repair, can_be_repaired=False)]
    return [Damage("database", row, repair, can_be_repaired=False) for row in rows if row != "ok"][:1]


def _vectors_of(folder: Path) -> list[str]:
    """Return the names of the collections of further vectors of items."""
    query = "select name from collections where name like ? order by name"
    with sqlite3.connect(f"file:{folder / DATABASE_FILE}?mode=ro", uri=True, timeout=SQLITE_SECONDS) as database:
        return [str(name) for (name,) in database.execute(query, [f"{VECTORS}%"])]


def _index_of(folder: Path, name: str) -> str:
    """Return the name of the folder of a collection's index; "" if it has none yet."""
    query = (
        "select segments.id from segments join collections on collections.id = segments.collection "
        "where collections.name = ? and segments.scope = 'VECTOR'"
    )
    with sqlite3.connect(f"file:{folder / DATABASE_FILE}?mode=ro", uri=True, timeout=SQLITE_SECONDS) as database:
        row = database.execute(query, [name]).fetchone()
    return str(row[0]) if row and (folder / str(row[0])).is_dir() else ""


def _index_problem(folder: Path, name: str) -> str:
    """Return what is wrong with an index; "" if each record has a vector. A damaged one may crash whoever reads it."""
    spawn = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(1, spawn) as pool:
            return pool.submit(_read_index, folder, name).result()
    except BrokenProcessPool:
        return "it crashes whoever reads it"


def _read_index(folder: Path, name: str) -> str:
    try:
        database = connect(str(folder), create=False, writing=True, metadata={}, damaged=True)
    except StoreError as error:
        return str(error)
    try:
        count = sum(len(page) for page in database.pages(name, "embeddings"))
        if count and name not in RECORDS:
            first = next(database.pages(name, "embeddings"))[0][1]
            database.collections[name].query(query_embeddings=[first], n_results=1)
        missing = database.count(name) - count
        return f"{missing} records have no vector" if missing else ""
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0][:200]
    finally:
        database.close()


def _record_damages(folder: Path) -> list[Damage]:
    try:
        with open_store(folder, writing=True, damaged=True) as store:
            return _problems_of_records(store)
    except StoreError as error:
        return [Damage("records", str(error), "ingest the sources again into a new folder", can_be_repaired=False)]


def _problems_of_records(store: Store) -> list[Damage]:
    damages = []
    if store.lacks_log_file():
        damages.append(Damage("log", "its file is absent or damaged", "it is built again from the records"))
    unreadable = 0
    for user_id in store.log.user_ids:
        try:
            store.history(user_id)
        except (StoreError, ValueError, KeyError, TypeError):
            unreadable += 1
    if unreadable:
        words = "forget these people, or ingest the sources again into a new folder"
        damages.append(Damage("records", f"{unreadable} histories cannot be read", words, can_be_repaired=False))
    return damages


def _fitted_damages(folder: Path) -> list[Damage]:
    fitted = folder / "fitted"
    if not (fitted / MANIFEST).is_file():
        return []
    try:
        check_files(fitted, "")
    except (DataError, OSError, ValueError, json.JSONDecodeError) as error:
        return [Damage("what was learned", str(error).rstrip(": "), "it is removed: run `whimbrel fit` again")]
    return []
