"""Several files of a folder that are replaced together or not at all, with their checksums.

They are written into a folder within the folder. Its manifest is written last, and from then on they count: whoever
opens the folder next completes what an interruption left. Other files of the folder stay as they are.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import atomic_write

MANIFEST = "checksums.json"
_NEW = ".new"


@contextmanager
def whole_files(folder: Path, names: Collection[str]) -> Iterator[Path]:
    """Replace files of a folder together.

    Args:
        folder: The folder, which is made if it is absent.
        names: All names that such files may have. Those that are not written are removed.

    Yields:
        An empty folder to write the files into. If the block raises an error, the old files stay.

    Raises:
        OSError: the folder cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as name:
        ...     with whole_files(Path(name), ["a.txt", "b.txt"]) as new:
        ...         _ = (new / "a.txt").write_text("whole")
        ...     print((Path(name) / "a.txt").read_text())
        whole
    """
    complete(folder)
    new = folder / _NEW
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        checksums = {path.name: _checksum(path) for path in sorted(new.iterdir())}
        with atomic_write(new / MANIFEST) as partial:
            partial.write_text(json.dumps({"replaces": sorted(names), "files": checksums}, indent=1), "utf-8")
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    complete(folder)


def complete(folder: Path) -> None:
    """Complete a replacement that was interrupted after its files were whole.

    Raises:
        OSError: the folder cannot be written.
    """
    new = folder / _NEW
    if not (new / MANIFEST).is_file():
        return
    manifest = _read(new)
    for name in [*manifest["replaces"], *manifest["files"]]:
        if (new / name).is_file():
            os.replace(new / name, folder / name)
        elif name not in manifest["files"]:
            (folder / name).unlink(missing_ok=True)
    os.replace(new / MANIFEST, folder / MANIFEST)
    with suppress(OSError):
        new.rmdir()


def check_files(folder: Path, advice: str) -> None:
    """Check the files of a folder against their checksums. A folder without checksums is not checked.

    Args:
        folder: The folder.
        advice: What to do if they differ, for the message.

    Raises:
        DataError: a file is absent or was changed.
    """
    if not (folder / MANIFEST).is_file():
        return
    for name, checksum in _read(folder)["files"].items():
        path = folder / name
        try:
            is_same = _checksum(path) == checksum
        except (OSError, ValueError):  # ValueError: the name holds a NUL
            is_same = False
        if not is_same:
            raise DataError(f"{str(path)!r} is damaged: {advice}")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> dict[str, dict[str, str]]:
    """Return the manifest of a folder."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
        return {"replaces": dict.fromkeys(manifest["replaces"], ""), "files": dict(manifest["files"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{str(path)!r} is damaged: remove this file, or make the folder again") from error
