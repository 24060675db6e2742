"""A lock that gives a folder to one process at a time.

Two processes that write to one Chroma folder destroy it. Two that write one evaluation run mix up their lines.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from whimbrel.tools.errors import StoreError

LOCK, HOLDER = "lock", "holder.json"
"""The files that locking makes in a folder."""


@contextmanager
def exclusive(folder: Path, what: str, *, advice: str = "") -> Iterator[None]:
    """Lock a folder until the block ends. The folder is made if it is absent.

    If the process is killed, the operating system releases the lock.

    Args:
        folder: The folder.
        what: What messages call the folder, such as `store`.
        advice: Text at the end of the message about a folder that is in use.

    Raises:
        StoreError: the folder cannot be made or locked, or another process holds it. The message names that process.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{what} {str(folder)!r} cannot be made: {error.strerror or error}") from error
    # The lock does not say which process holds it, so the process writes its number and command into a second file.
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
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
        with suppress(OSError):  # the lock holds without it
            holder.write_text(json.dumps({"pid": os.getpid(), "command": command}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_holder(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text())
        return f"process {facts['pid']} ({facts['command']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
