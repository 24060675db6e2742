"""The finished parts of a run, in a folder next to the file that they become.

`manifest.json` holds everything that the lists depend on. The workers read the folder `snapshot`. The files
`part-00000.jsonl` and so on hold one answer a line, for equally many users each. A part appears as a whole. A killed
run therefore goes on after its last part.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.files.locks import HOLDER, LOCK

MANIFEST, SNAPSHOT = "manifest.json", "snapshot"
STORE_CONTENT = "content of the store"
"""The entry of the manifest that changes when the store does."""
_OWN = ("part-*", f"{SNAPSHOT}*", f"{MANIFEST}*", LOCK, HOLDER)
"""What a run makes in its folder."""


class Parts:
    """The folder of a run."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        """Make the folder, or check that it holds a run with this manifest.

        Raises:
            ConfigError: the folder holds another run or other files, or cannot be read.
        """
        self._folder = folder
        path = folder / MANIFEST
        if not path.is_file():
            if other := next((file for file in folder.glob("*") if not any(map(file.match, _OWN))), None):
                raise ConfigError(f"{str(folder)!r} is needed for parts but holds {other.name!r}: move it elsewhere")
            self._clear()  # what is left of a folder whose removal was interrupted
            with atomic_write(path) as partial:
                partial.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")
        try:
            kept = dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ConfigError(f"{str(path)!r} cannot be read ({error}): remove this folder to start again") from error
        # Both are compared as JSON, since a tuple of the manifest is a list in the file.
        differing = [key for key, value in manifest.items() if kept.get(key) != json.loads(json.dumps(value))]
        if differing == [STORE_CONTENT]:
            raise ConfigError(
                f"the store has changed since the run in {str(folder)!r} was stopped: remove this folder to start again"
            )
        if differing:
            raise ConfigError(
                f"{str(folder)!r} holds a run that was stopped, with another {', '.join(differing)}: give the command "
                "of that run to go on with it, or remove this folder to start again"
            )
        self.finished = 0
        while self._path(self.finished).is_file():
            self.finished += 1

    @property
    def snapshot(self) -> Path:
        """The folder of the snapshot. It is absent until the snapshot is whole."""
        return self._folder / SNAPSHOT

    def add(self, lines: Sequence[str]) -> None:
        """Write the next part."""
        with atomic_write(self._path(self.finished)) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")
        self.finished += 1

    def lines(self) -> Iterator[str]:
        """Yield the lines of all finished parts in order, without line ends."""
        for number in range(self.finished):
            with self._path(number).open(encoding="utf-8", newline="\n") as file:
                for line in file:
                    yield line.removesuffix("\n")

    def remove(self) -> None:
        """Remove the folder."""
        # The manifest goes first. What an interruption leaves then belongs to no run.
        (self._folder / MANIFEST).unlink()
        self._clear()
        for name in (HOLDER, LOCK):
            (self._folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # what somebody else has put there stays
            self._folder.rmdir()

    def _clear(self) -> None:
        for part in self._folder.glob("part-*"):
            part.unlink()
        shutil.rmtree(self.snapshot, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"part-{number:05}.jsonl"
