"""Files that are written as a whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".partial"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file as a whole or not at all.

    If killed processes left partial files of the same target, these are removed first.

    Yields:
        A path to write to. It replaces `path` when the block ends. If the block raises an error, it is removed.

    Raises:
        OSError: the folder cannot be made or written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder) / "a.txt") as partial:
        ...         _ = partial.write_text("whole")
        ...     print((Path(folder) / "a.txt").read_text())
        whole
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f"{path.name}.*{_SUFFIX}"):
        if not _is_of_running_process(leftover.name):
            leftover.unlink(missing_ok=True)
    # The name contains the process and the thread, so several writers of one target do not share a partial file.
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}{_SUFFIX}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _is_of_running_process(name: str) -> bool:
    """Return whether the process that wrote a partial file is still running. The file's name contains its number."""
    try:
        pid = int(name.removesuffix(_SUFFIX).split(".")[-2])
        os.kill(pid, 0)  # signal 0 only asks whether the process exists
    except (ProcessLookupError, ValueError, IndexError, OverflowError):
        return False
    except OSError:  # the process exists and belongs to another user
        return True
    return True
