"""Forget a person: in the store, in what was learned from it, and in the caches of this machine."""

import shutil
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from whimbrel.agent.fitted import FILES, FUSION, Fitted
from whimbrel.agent.language_models.adapter import ADAPTER
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.files.whole_files import MANIFEST, whole_files
from whimbrel.tools.store.store import Store

CACHES = {"cached replies": "replies", "cached prompts": "prefixes", "stopped ingestions": "staging"}
"""Folders of the cache that may hold texts about anybody. Their content can be computed again."""


class Receipt(BaseModel):
    """What was removed.

    Attributes:
        user_id: The person.
        events: The number of events.
        removed: How much else was removed, keyed by place. Caches count files.
    """

    model_config = ConfigDict(frozen=True)

    user_id: str
    events: int
    removed: dict[str, int]


def forget_person(store: Store, user_id: str) -> Receipt:
    """Remove a person for good (see `Store.forget`), also from what was learned and from the caches.

    Raises:
        DataError: the store has no such user.
        StoreError: another process is writing.
    """
    removed = store.forget(user_id)
    events = removed.pop("events")
    learned = _forget_items(store) if removed["items"] or (store.fitted / ADAPTER).is_file() else 0
    caches = {place: _clear(cache_folder() / folder) for place, folder in CACHES.items()}
    return Receipt(user_id=user_id, events=events, removed=removed | {"learned files": learned} | caches)


def _forget_items(store: Store) -> int:
    """Write what was learned again, without a tuned model or items that the log lacks. Return how many files."""
    folder = store.fitted
    if not (folder / FUSION).is_file():
        return 0
    try:
        # A tuned model may repeat the sequences that it learned from, so it goes with the person.
        fitted = replace(Fitted.load(folder).for_log(store.log), adapter=None)
    except DataError:  # it is damaged, so it is of no use
        shutil.rmtree(folder)
        return len(FILES)
    with whole_files(folder, FILES) as new:
        fitted.save(new)
        for kept in folder.glob("*"):  # the forecast knows topics alone
            if kept.is_file() and kept.name not in (*FILES, MANIFEST):
                shutil.copy2(kept, new / kept.name)
    return len(FILES)


def _clear(folder: Path) -> int:
    count = sum(1 for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder, ignore_errors=True)
    return count
