"""Conversations saved by name in the folder of a store, to be resumed later."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from whimbrel.agent.chat.turn import Memory
from whimbrel.agent.chat.wish_rules import MOST_LISTED
from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import ConfigError, DataError, StoreError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.store.person_files import talks_of

LONGEST_NAME = 60
MOST_EARLIER = 20
"""Steps that can be taken back after a conversation is resumed."""
MOST_KEPT = 100
"""Conversations of one person. Of more, the one that was not used for longest is dropped."""
_MEMORY = TypeAdapter(Memory)


@dataclass(frozen=True)
class SavedTalk:
    """A conversation of one person under one name. It is written after each turn, so a crash loses nothing said.

    Attributes:
        folder: The folder of the store.
        user_id: The person.
        name: What the person calls the conversation.
    """

    folder: Path
    user_id: str
    name: str

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            ConfigError: It is empty, too long or holds control characters.
        """
        if not self.name.strip() or len(self.name) > LONGEST_NAME or not self.name.isprintable():
            raise ConfigError(f"a session's name has 1 to {LONGEST_NAME} printable characters, not {self.name[:80]!r}")

    @property
    def path(self) -> Path:
        """The file. Its name tells neither the person nor the conversation."""
        digest = hashlib.sha256(self.name.strip().encode()).hexdigest()[:32]
        return talks_of(self.folder, self.user_id) / f"{digest}.json"

    def exists(self) -> bool:
        """Return whether the conversation is saved."""
        return self.path.exists()

    def load(self) -> Memory | None:
        """Return what the conversation remembers; None if there is none of this name.

        Raises:
            DataError: The file is damaged.
        """
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["user_id"] != self.user_id:
                raise ValueError("it belongs to somebody else")
            return memory_of(document["memory"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError, ArithmeticError, ValidationError) as error:
            advice = f"choose another name, or delete {str(self.path)!r}"
            raise DataError(f"the session {self.name!r} cannot be read ({type(error).__name__}): {advice}") from error

    def save(self, memory: Memory) -> None:
        """Write what the conversation remembers. Only its owner may read the file.

        Raises:
            StoreError: The file cannot be written.
        """
        try:
            self._write(memory)
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"the session {self.name!r} cannot be saved: {reason}: {str(self.path)!r}") from error

    def _write(self, memory: Memory) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.exists():
            self._make_room()
        document = {"user_id": self.user_id, "name": self.name, "memory": memory_document(memory)}
        with atomic_write(self.path) as unfinished:
            unfinished.touch(mode=0o600)
            unfinished.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")

    def _make_room(self) -> None:
        kept = sorted(self.path.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for oldest in kept[: max(len(kept) - MOST_KEPT + 1, 0)]:
            oldest.unlink(missing_ok=True)


def memory_document(memory: Memory) -> dict[str, Any]:
    """Return what a conversation remembers as JSON values."""
    document: dict[str, Any] = _MEMORY.dump_python(memory.shortened(MOST_EARLIER), mode="json")
    return document


def memory_of(document: Any) -> Memory:
    """Return what a conversation remembers, from JSON values that nobody vouches for.

    Raises:
        ValueError: They are no memory.
    """
    memory = _MEMORY.validate_python(_cleaned(document))
    if not 1 <= memory.state.k <= MOST_LISTED:
        raise ValueError("it asks for a list of an impossible length")
    return memory


def _cleaned(value: Any) -> Any:
    """Return a document with all its texts cleaned of control characters and broken characters."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [_cleaned(one) for one in value]
    return {clean_text(key): _cleaned(one) for key, one in value.items()} if isinstance(value, dict) else value
