"""The audit log of a store: what was shown to whom, when and why. Each person has a file, so it can be erased.

Each line is one list, as JSON. A list that cannot be logged is not shown.
"""

import json
import os
import threading
from collections.abc import Iterable, Mapping, Set
from errno import ENOSPC
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import StoreError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.records import digest_of

FOLDER = "audit"
_LOCK = threading.Lock()
"""Held while a file is appended to or replaced. A store in a folder is open in one process only."""


def append_to_audit(folder: Path, user_id: str, entry: Mapping[str, Any]) -> None:
    """Append a list to a person's file. Threads and processes may append at once.

    Args:
        folder: The folder of the store.
        user_id: The person.
        entry: The list as a JSON document, with its items under "list".

    Raises:
        StoreError: the file cannot be written.
    """
    path = _file(folder, user_id)
    line = json.dumps({"user_id": user_id, **entry}, ensure_ascii=False)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        # The line break comes first, so that a line which was cut by a crash does not damage the next one. A single
        # write to a file that is opened for appending is not mixed with others.
        content = f"\n{line}".encode()
        with _LOCK, path.open("ab", buffering=0) as file:
            if file.write(content) < len(content):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
    except OSError as error:
        raise StoreError(f"the audit log {str(path)!r} cannot be written, so nothing is shown: {error}") from error


def read_audit(folder: Path, user_id: str) -> list[dict[str, Any]]:
    """Return the lists that were shown to a person, the earliest first. A line that was cut by a crash is left out."""
    return _entries(_file(folder, user_id))


def remove_audit(folder: Path, user_id: str) -> int:
    """Remove a person's file. Return how many lists it held."""
    count = len(read_audit(folder, user_id))
    _file(folder, user_id).unlink(missing_ok=True)
    return count


def remove_items_from_audit(folder: Path, item_ids: Iterable[str]) -> None:
    """Remove items from all lists of the audit log, such as those that only a forgotten person met."""
    removed = set(item_ids)
    with _LOCK:
        for path in (folder / FOLDER).glob("*.jsonl") if removed else ():
            _remove_items(path, removed)


def _remove_items(path: Path, removed: Set[str]) -> None:
    entries = _entries(path)
    kept = [{**entry, "list": [one for one in entry["list"] if one["item_id"] not in removed]} for entry in entries]
    if kept != entries:
        with atomic_write(path) as partial:
            partial.write_text("".join(f"\n{json.dumps(entry, ensure_ascii=False)}" for entry in kept), "utf-8")


def _file(folder: Path, user_id: str) -> Path:
    return folder / FOLDER / f"{digest_of(user_id)}.jsonl"


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"the audit log {str(path)!r} cannot be read: {error}") from error
    return [entry for line in text.split("\n") if (entry := _entry(line)) is not None]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    items = entry.get("list") if isinstance(entry, dict) else None
    is_whole = isinstance(items, list) and all(isinstance(one, dict) and "item_id" in one for one in items)
    return entry if is_whole else None
