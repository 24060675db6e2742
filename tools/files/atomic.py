"""Files that are written whole or not at all."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SUFFIX = ".partial"


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path to write to; it takes the place of `path` when the block ends well, and is removed when it does not.

    What processes that were killed left of the same file is removed first.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{path.name}.*{_SUFFIX}"):
        if not _alive(left.name.removesuffix(_SUFFIX).split(".")[-2:-1]):
            left.unlink(missing_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}{_SUFFIX}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _alive(process: list[str]) -> bool:
    try:
        os.kill(int(process[0]), 0)
    except (ProcessLookupError, ValueError, IndexError, OverflowError):
        return False
    except OSError:
        return True
    return True
