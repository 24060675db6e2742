"""States of prompts that a model read before, restored far faster than they are read again."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.local.llama import shared
from whimbrel.tools.files.atomic import atomic_write

_CHECK = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Kept:
    """The state that a prompt left, and the logits behind its last token where they were kept too."""

    state: bytes
    logits: NDArray[np.float32] | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.state) + (self.logits.nbytes if self.logits is not None else 0)


class Prefixes:
    """At most `budget_bytes` of states in memory; the least lately used goes first.

    `fixed` ones, which hold instructions and nothing of anybody, outlive `drop` and, where there is a folder, the
    process. A file is taken only if its checksum is right.
    """

    def __init__(self, budget_bytes: int, folder: Path | None = None) -> None:
        self._budget_bytes = budget_bytes
        self._folder = folder
        self._kept: OrderedDict[tuple[int, ...], Kept] = OrderedDict()
        self._fixed: set[tuple[int, ...]] = set()

    def longest(self, tokens: Sequence[int]) -> tuple[tuple[int, ...], Kept] | None:
        """What shares most first tokens with these, and its tokens."""
        best = max(self._kept, key=lambda known: shared(known, tokens), default=None)
        if best is None:
            return None
        self._kept.move_to_end(best)
        return best, self._kept[best]

    def find(self, tokens: Sequence[int]) -> None:
        """Take the state of just these tokens from the folder, unless it is held or there is none."""
        key = tuple(tokens)
        if key not in self._kept:
            state = self._read(key)
            if state is not None:
                self._hold(key, Kept(state), fixed=True)

    def keep(self, tokens: Sequence[int], kept: Kept, *, fixed: bool = False) -> None:
        """Hold a state."""
        key = tuple(tokens)
        self._hold(key, kept, fixed=fixed)
        if fixed and self._folder:
            self._write(self._folder / self._name(key), kept.state)

    def drop(self) -> None:
        """Let go of all that is not fixed."""
        self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if key in self._fixed)

    def _hold(self, key: tuple[int, ...], kept: Kept, *, fixed: bool) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if fixed:
            self._fixed.add(key)
        while sum(one.size for one in self._kept.values()) > self._budget_bytes:
            gone, _ = self._kept.popitem(last=False)
            self._fixed.discard(gone)

    def _name(self, key: tuple[int, ...]) -> str:
        return f"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}.state"

    def _read(self, key: tuple[int, ...]) -> bytes | None:
        if not self._folder:
            return None
        try:
            data = (self._folder / self._name(key)).read_bytes()
        except OSError:
            return None
        check, state = data[:_CHECK], data[_CHECK:]
        return state if hashlib.sha256(state).digest() == check else None

    def _write(self, path: Path, state: bytes) -> None:
        """A cache: where it cannot be written, the state is made anew next time."""
        with suppress(OSError), atomic_write(path) as partial:
            partial.write_bytes(hashlib.sha256(state).digest() + state)
