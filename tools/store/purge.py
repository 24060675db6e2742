"""Remove from the files of a folder what was deleted from its database.

Chroma marks deleted records and keeps their bytes: in free pages of SQLite, in its queue of writes, and in the ids of
an index that was not written since. Here each index is made to be written, and SQLite to overwrite free pages.
"""

import shutil
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from whimbrel.tools.errors import StoreError
from whimbrel.tools.store.clients import DATABASE_FILE, close, open_folder, store_errors

MARK = "purge"
"""The file that says that a folder must be purged."""
HEADER_FILE, HEADER = "header.bin", struct.Struct("<iQQQQ")
"""The header of an index: a version, an offset, the number of places, how many are used, and the bytes of a place."""
PLACES_FILE, LENGTHS_FILE, LENGTH = "data_level0.bin", "length.bin", 4
WRITTEN_AFTER, USUAL = 2, 1000
"""Chroma writes an index to its file after so many changes: while purging, and otherwise."""
CHANGES = 2 * WRITTEN_AFTER  # more than are needed, since the first ones may be read from the queue


def purge(folder: Path, names: Sequence[str] | None = None, *, is_waiting: bool) -> None:
    """Purge the files of a database that is closed and that no process opens meanwhile, if it is marked.

    Args:
        folder: The folder of the database.
        names: The collections from which records were deleted; None for all.
        is_waiting: Whether an earlier process has said that the disk has too little room. It is not said again.

    Raises:
        StoreError: the disk has too little room, or Chroma failed.
    """
    if not (folder / MARK).is_file():
        return
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if shutil.disk_usage(folder).free >= 2 * size:
        with store_errors(str(folder), "could not be purged: open it again to complete this"):
            _overwrite(folder, names)
    elif not is_waiting:  # Chroma leaves half an index if it cannot write it
        raise StoreError(
            f"store {str(folder)!r} still holds the bytes of what was deleted, since its disk has too little room "
            f"({2 * size / 1e6:.0f} MB are needed): make some, then run a command on it again"
        )


def _overwrite(folder: Path, names: Sequence[str] | None) -> None:
    """Overwrite the bytes of deleted records, and remove the mark."""
    # A collection reads the limit when a client first uses it, so a second client writes the indexes.
    for limit, is_written in ((WRITTEN_AFTER, False), (USUAL, True)):
        client = open_folder(folder)
        for name in [collection.name for collection in client.list_collections()] if names is None else names:
            collection = client.get_collection(name, embedding_function=None)
            if is_written:
                _change(collection)
            with catch_warnings():  # Chroma warns of the absent embedding function in settings that it wrote itself
                simplefilter("ignore")
                collection.modify(configuration={"hnsw": {"sync_threshold": limit}})
        close(client)
    for header in folder.glob(f"*/{HEADER_FILE}"):
        _clear_unused(header)
    database = sqlite3.connect(folder / DATABASE_FILE)
    try:
        database.execute("PRAGMA secure_delete = ON")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()
    (folder / MARK).unlink(missing_ok=True)


def _clear_unused(header: Path) -> None:
    """Fill places of an index that no record has used with zeros. They hold what was in memory before."""
    _, _, places, used, size = HEADER.unpack_from(header.read_bytes())
    for name, width in ((PLACES_FILE, size), (LENGTHS_FILE, LENGTH)):
        path = header.with_name(name)
        if path.stat().st_size == places * width:  # else it is of another version
            with path.open("r+b") as file:
                file.seek(used * width)
                file.write(bytes((places - used) * width))


def _change(collection: Any) -> None:
    """Write a record several times without changing it, so that the index is written."""
    page = collection.get(limit=1, include=["embeddings", "metadatas"])
    if page["ids"]:
        for _ in range(CHANGES):
            collection.upsert(ids=page["ids"], embeddings=page["embeddings"], metadatas=page["metadatas"])
        return
    size = int((collection.metadata or {}).get("dimension", 1))
    for _ in range(CHANGES):
        collection.upsert(ids=["-"], embeddings=[[1.0] * size])
        collection.delete(ids=["-"])
