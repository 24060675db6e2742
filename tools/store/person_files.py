"""Files beside the database that tell something of one person: saved conversations and rejected rows."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import StoreError
from whimbrel.tools.files.atomic import atomic_write

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
        except (OSError, ValueError) as error:
            raise StoreError(f"{str(path)!r} cannot be read: {error}") from error
    return kept


def remove_files_of(folder: Path, user_id: str) -> dict[str, int]:
    """Remove a user's conversations, and the rejected rows that name the user. Return how many of each."""
    talks = talks_of(folder, user_id)
    conversations = sum(1 for _ in talks.glob("*.json"))
    shutil.rmtree(talks, ignore_errors=True)
    rejects = (folder / REJECTS_FOLDER).glob("*.jsonl")
    return {"conversations": conversations, "rejected rows": sum(_remove_lines(path, user_id) for path in rejects)}


def _remove_lines(path: Path, user_id: str) -> int:
    """Remove the lines that name a user from a file of rejected rows. Return their number."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in lines if not _names(json.loads(line), user_id)]
    if len(kept) < len(lines):
        with atomic_write(path) as partial:
            partial.write_text("".join(kept), "utf-8")
    return len(lines) - len(kept)


def _names(document: Any, user_id: str) -> bool:
    """Return whether any text of a JSON document has a user's id as a word."""
    if isinstance(document, Mapping):
        return any(_names(value, user_id) for value in document.values())
    if isinstance(document, list):
        return any(_names(value, user_id) for value in document)
    return isinstance(document, str) and bool(re.search(rf"(?<!\w){re.escape(user_id)}(?!\w)", document))
