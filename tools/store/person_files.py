"""Files beside the database that tell something of one person: saved conversations, rejected rows, the audit log."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import StoreError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.store.audit_log import read_audit, remove_audit

TALKS_FOLDER, REJECTS_FOLDER = "talks", "rejects"


def talks_of(folder: Path, user_id: str) -> Path:
    """Return the folder of a user's saved conversations. Its name does not tell the user."""
    return folder / TALKS_FOLDER / hashlib.sha256(user_id.encode()).hexdigest()[:32]


def read_conversations(folder: Path, user_id: str) -> dict[str, Any]:
    """Return what each saved conversation of a user remembers, as JSON, keyed by the name of its file.

    Raises:
        StoreError: one of them cannot be read.
    """
    kept: dict[str, Any] = {}
    for path in sorted(talks_of(folder, user_id).glob("*.json")):
        try:
            kept[path.stem] = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"{str(path)!r} cannot be read: {error}") from error
    return kept


def has_files_of(folder: Path, user_id: str) -> bool:
    """Return whether conversations or shown lists of a user are kept."""
    return any(talks_of(folder, user_id).glob("*.json")) or bool(read_audit(folder, user_id))


def remove_files_of(folder: Path, user_id: str) -> dict[str, int]:
    """Remove a user's conversations, audit log and rejected rows. Return how many of each."""
    talks = talks_of(folder, user_id)
    conversations = sum(1 for _ in talks.glob("*.json"))
    shutil.rmtree(talks, ignore_errors=True)
    rejects = (folder / REJECTS_FOLDER).glob("*.jsonl")
    return {
        "conversations": conversations,
        "shown lists": remove_audit(folder, user_id),
        "rejected rows": sum(_remove_lines(path, user_id) for path in rejects),
    }


def _remove_lines(path: Path, user_id: str) -> int:
    """Remove the lines that name a user from a file of rejected rows. Return their number."""
    # Bytes that are not UTF-8 are written again as they were.
    lines = path.read_text("utf-8", errors="surrogateescape").splitlines(keepends=True)
    kept = [line for line in lines if not _names(line, user_id)]
    if len(kept) < len(lines):
        with atomic_write(path) as partial:
            partial.write_text("".join(kept), "utf-8", errors="surrogateescape")
    return len(lines) - len(kept)


def _names(line: str, user_id: str) -> bool:
    """Return whether any text of a line has a user's id as a word. The line is JSON, unless it is damaged."""
    try:
        texts = list(_texts(json.loads(line)))
    except (ValueError, RecursionError):
        texts = [line]
    word = re.compile(rf"(?<!\w){re.escape(user_id)}(?!\w)")
    return any(word.search(text) for text in texts)


def _texts(document: Any) -> Iterator[str]:
    """Yield the values of a JSON document that are texts."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping | list):
        for value in document.values() if isinstance(document, Mapping) else document:
            yield from _texts(value)
