"""Saved states of prompts that a model has read: restoring one is far faster than reading the prompt again."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.llama import shared_prefix_length
from whimbrel.tools.files.atomic import atomic_write

_CHECKSUM_BYTES = hashlib.sha256().digest_size

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class PromptState:
    """State of a model after a prompt.

    Attributes:
        state: What `Llama.state` returned.
        logits: Logits after the last token, None if they were not saved.
    """

    state: bytes
    logits: NDArray[np.float32] | None = None

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return len(self.state) + (self.logits.nbytes if self.logits is not None else 0)


class PrefixCache:
    """Prompt states in memory, at most `budget_bytes`; the least recently used is dropped first.

    Fixed states hold instructions and nothing about a person. They survive `drop` and, if there is a folder, the
    process. A file counts only if its checksum is right.
    """

    def __init__(self, budget_bytes: int, folder: Path | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._folder = folder
        self._states: OrderedDict[Tokens, PromptState] = OrderedDict()
        self._fixed: set[Tokens] = set()

    def longest(self, tokens: Sequence[int]) -> tuple[Tokens, PromptState] | None:
        """Return the state that shares the most first tokens with a prompt, and its tokens; None if there is none."""
        best = max(self._states, key=lambda known: shared_prefix_length(known, tokens), default=None)
        if best is None:
            return None
        self._states.move_to_end(best)
        return best, self._states[best]

    def load(self, tokens: Sequence[int]) -> None:
        """Read the state of exactly these tokens from the folder, if there is one and it is not in memory."""
        key = tuple(tokens)
        if key not in self._states:
            state = self._read(key)
            if state is not None:
                self._put(key, PromptState(state), fixed=True)

    def put(self, tokens: Sequence[int], state: PromptState, *, fixed: bool = False) -> None:
        """Save a state in memory, a fixed one in the folder too."""
        key = tuple(tokens)
        self._put(key, state, fixed=fixed)
        if fixed and self._folder:
            self._write(self._folder / self._file_name(key), state.state)

    def drop(self) -> None:
        """Drop all states that are not fixed."""
        self._states = OrderedDict((key, state) for key, state in self._states.items() if key in self._fixed)

    def _put(self, key: Tokens, state: PromptState, *, fixed: bool) -> None:
        self._states[key] = state
        self._states.move_to_end(key)
        if fixed:
            self._fixed.add(key)
        while sum(known.size_bytes for known in self._states.values()) > self._budget_bytes:
            dropped, _ = self._states.popitem(last=False)
            self._fixed.discard(dropped)

    def _file_name(self, key: Tokens) -> str:
        return f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.state"

    def _read(self, key: Tokens) -> bytes | None:
        if not self._folder:
            return None
        try:
            data = (self._folder / self._file_name(key)).read_bytes()
        except OSError:
            return None
        checksum, state = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
        return state if hashlib.sha256(state).digest() == checksum else None

    def _write(self, path: Path, state: bytes) -> None:
        with suppress(OSError), atomic_write(path) as partial:  # if it cannot be written, the prompt is read next time
            partial.write_bytes(hashlib.sha256(state).digest() + state)
