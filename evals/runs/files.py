"""The files of a run folder.

`manifest.json` is what the rankings depend on, `plan.json` where the run's inputs were. `rankings.jsonl` has a line
for each case and system, system by system in the order of the cases. `outcomes.jsonl` has the same lines with tied
ranks, seconds, usage and failures. Lines are only ever appended. Before a run resumes, what follows the last line that
is whole in both files is cut off.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from whimbrel.tools.errors import ConfigError, DataError

RANKINGS, OUTCOMES = "rankings.jsonl", "outcomes.jsonl"
PLAN, MANIFEST, SKIPPED, RESULTS = "plan.json", "manifest.json", "skipped.json", "results.json"
BOUNDARIES = "boundaries.jsonl"
"""What a run of `eval boundaries` has instead of rankings and outcomes."""


def read_lines(path: Path) -> Iterator[Any]:
    """Return the documents of a file, one per line; none if there is no file.

    Raises:
        DataError: a line is not JSON.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{str(path)!r}, line {number}: not JSON: {error}") from error


def append_line(file: IO[bytes], document: dict[str, Any]) -> None:
    """Append a document to a file and hand it to the operating system at once."""
    file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
    file.flush()


def claim(folder: Path, manifest: dict[str, Any]) -> None:
    """Make the folder of a run, or check that it holds a run with this manifest.

    Raises:
        ConfigError: the folder cannot be used, or holds another run.
    """
    path = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            # A manifest that is written in part must not be taken for another run's.
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(manifest, indent=1))
            partial.replace(path)
            return
        existing = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"run folder {str(folder)!r} cannot be used: {error}") from error
    # The manifest is compared as JSON: a tuple there is a list in the file.
    differing = [key for key in manifest if existing.get(key) != json.loads(json.dumps(manifest[key]))]
    if differing:
        raise ConfigError(
            f"{str(folder)!r} holds a run with other {', '.join(differing)}: give another --out, or remove it"
        )


def mend(folder: Path) -> int:
    """Cut off what follows the last line that is whole in both files, and return the number of whole lines."""
    paths = (folder / RANKINGS, folder / OUTCOMES)
    # A process may have been killed between the two files.
    whole = min(_count_whole_lines(path) for path in paths)
    for path in paths:
        if path.is_file():
            with path.open("r+b") as file:
                for _ in range(whole):
                    file.readline()
                file.truncate(file.tell())
    return whole


def _count_whole_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def read_skipped(folder: Path) -> dict[str, str]:
    """Return the systems of a run that were skipped, with the reason of each."""
    try:
        return dict(json.loads((folder / SKIPPED).read_text()))
    except (OSError, ValueError):
        return {}
