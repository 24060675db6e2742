"""Saved states of a model after prompts. Restoring a state is far faster than reading the prompt again."""

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
        logits: Logits after the last token; None if they were not saved.
    """

    state: bytes
    logits: NDArray[np.float32] | None = None

    @property
    def size_bytes(self) -> int:
        """The memory that the state takes, in bytes."""
        return len(self.state) + (self.logits.nbytes if self.logits is not None else 0)


class PrefixCache:
    """Prompt states in memory, at most `budget_bytes` in total. The least recently used state is dropped first.

    Fixed states are those of instructions, which contain nothing about a person. They survive `drop`. If there is a
    folder, they are also saved there for later processes. A file with a wrong checksum is ignored.
    """

    def __init__(self, budget_bytes: int, folder: Path | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._folder = folder
        self._states: OrderedDict[Tokens, PromptState] = OrderedDict()
        self._fixed: set[Tokens] = set()

    def longest(self, tokens: Sequence[int]) -> tuple[Tokens, PromptState] | None:
        """Return the tokens and the state with the longest common beginning with a prompt; None if there is none."""
        best = max(self._states, key=lambda known: shared_prefix_length(known, tokens), default=None)
        if best is None:
            return None
        self._states.move_to_end(best)
        return best, self._states[best]

    def load(self, tokens: Sequence[int]) -> None:
        """Read the state of exactly these tokens from the folder, unless it is in memory already."""
        key = tuple(tokens)
        if key not in self._states:
            state = self._read(key)
            if state is not None:
                self._put(key, PromptState(state), fixed=True)

    def put(self, tokens: Sequence[int], state: PromptState, *, fixed: bool = False) -> None:
        """Save a state in memory. A fixed state is saved in the folder too."""
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
        with suppress(OSError), atomic_write(path) as partial:  # if writing fails, the prompt is read again
            partial.write_bytes(hashlib.sha256(state).digest() + state)
