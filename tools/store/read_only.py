"""A store in a folder that cannot be written is read from a copy: Chroma writes even to read."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from whimbrel.tools.errors import StoreError
from whimbrel.tools.store.clients import DATABASE_FILE, ROOM


def why_read_only(folder: Path) -> str:
    """Return why a store in a folder cannot be written, in words; "" if it can, or if there is none yet."""
    if not (folder / DATABASE_FILE).is_file():
        return ""
    if not (os.access(folder, os.W_OK) and os.access(folder / DATABASE_FILE, os.W_OK)):
        return "its folder is read-only"
    try:
        # Reading needs some room too, for the lock and for SQLite's journal.
        (folder / "room").write_bytes(bytes(ROOM))
        return ""
    except OSError as error:
        return "its disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "its folder is read-only"
    finally:
        with suppress(OSError):
            (folder / "room").unlink(missing_ok=True)


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """Copy a store into a temporary folder until the block ends."""
    with TemporaryDirectory(prefix="whimbrel-") as temporary:
        copy = Path(temporary) / "store"
        try:
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("lock", "holder.json", "room", "*.partial"))
        except (OSError, shutil.Error) as error:
            raise StoreError(
                f"store {str(folder)!r} cannot be written, and there is no room for a copy in {temporary!r}: {error}"
            ) from error
        for path in (copy, *copy.rglob("*")):
            path.chmod(path.stat().st_mode | 0o600 | (0o100 if path.is_dir() else 0))
        yield copy
