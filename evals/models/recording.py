"""What a model has llama.cpp do, recorded, so that the same can be timed with nothing around it."""

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from whimbrel.agent.language_models.local.llama import Llama

_WATCHED = ("decode", "follow", "cut", "clear", "restore")


class Recording:
    """Within the `with` block calls of a `Llama` are recorded; `replay` does them again and returns the seconds.

    The first call after the block must find what the first one in it found: forget before both.
    """

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._calls: list[tuple[str, tuple[Any, ...]]] = []

    def __enter__(self) -> Self:
        for name in _WATCHED:
            setattr(self._llama, name, self._watched(name, getattr(self._llama, name)))
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for name in _WATCHED:
            delattr(self._llama, name)

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any) -> Any:
            self._calls.append((name, given))
            return call(*given)

        return watched

    @property
    def rows(self) -> int:
        """Tokens that were decoded."""
        return sum(len(given[0]) for name, given in self._calls if name == "decode")

    def replay(self) -> float:
        """Do the same calls in the same order, batches prepared beforehand; seconds."""
        calls = [
            self._llama.prepared(given[0]) if name == "decode" else partial(getattr(self._llama, name), *given)
            for name, given in self._calls
        ]
        started = time.perf_counter()
        for call in calls:
            call()
        self._llama.wait()
        return time.perf_counter() - started
