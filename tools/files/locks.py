"""A folder for one process at a time.

Two writers of one Chroma folder destroy it, and two writers of one run of an evaluation mix their lines.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whimbrel.tools.errors import StoreError


@contextmanager
def exclusive(folder: Path, what: str, *, advice: str = "") -> Iterator[None]:
    """Hold a folder, which is made if it is absent, until the block ends.

    The operating system releases the lock of a killed process, too.

    Args:
        folder: The folder.
        what: What the folder is, for messages: `store`.
        advice: The end of the message about a folder in use.

    Raises:
        StoreError: another process, which the message names, holds the folder; or it cannot be made or locked.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{what} {str(folder)!r} cannot be made: {error.strerror or error}") from error
    # The lock itself does not say who holds it, so the holder writes its number and command beside it.
    lock, holder = FileLock(folder / "lock"), folder / "holder.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(
            f"{what} {str(folder)!r} is in use by {_read_holder(holder)}: wait for it to end or stop it{advice}"
        ) from None
    except OSError as error:
        raise StoreError(f"{what} {str(folder)!r} cannot be locked: {error.strerror or error}") from error
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]])
        holder.write_text(json.dumps({"pid": os.getpid(), "command": command}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_holder(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text())
        return f"process {facts['pid']} ({facts['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
