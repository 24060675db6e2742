"""The files of a run folder.

`manifest.json` holds everything that the rankings depend on. `plan.json` holds the paths of the run's inputs.
`rankings.jsonl` has one line for each case and system. All lines of one system follow each other, in the order of the
cases. `outcomes.jsonl` has the same lines, with tied ranks, seconds, usage and failures.

Lines are only appended. Before a run resumes, both files are cut to the lines that are complete in both.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from whimbrel.tools.errors import ConfigError, DataError

RANKINGS, OUTCOMES = "rankings.jsonl", "outcomes.jsonl"
PLAN, MANIFEST, SKIPPED, RESULTS = "plan.json", "manifest.json", "skipped.json", "results.json"
BOUNDARIES = "boundaries.jsonl"
"""A run of `eval boundaries` has this file instead of rankings and outcomes."""


def read_lines(path: Path) -> Iterator[Any]:
    """Return the documents of a file, one per line. If there is no file, there are no documents.

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
    """Append a document to a file and flush it at once."""
    file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
    file.flush()


def claim(folder: Path, manifest: dict[str, Any]) -> None:
    """Create the folder of a run, or check that it holds a run with this manifest.

    Raises:
        ConfigError: the folder cannot be used, or holds another run.
    """
    path = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            # A manifest that is only partly written must not look like the manifest of another run.
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(manifest, indent=1))
            partial.replace(path)
            return
        existing = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"run folder {str(folder)!r} cannot be used: {error}") from error
    # Both are compared as JSON, since a tuple of the manifest is a list in the file.
    differing = [key for key in manifest if existing.get(key) != json.loads(json.dumps(manifest[key]))]
    if differing:
        raise ConfigError(
            f"{str(folder)!r} holds a run with other {', '.join(differing)}: give another --out, or remove it"
        )


def mend(folder: Path) -> int:
    """Cut both files to the lines that are complete in both, and return the number of these lines."""
    paths = (folder / RANKINGS, folder / OUTCOMES)
    # A process may have been killed after it wrote to one of the two files.
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
