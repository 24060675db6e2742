"""Recording of the calls of llama.cpp that a model makes, to time the same calls with nothing around them."""

import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from whimbrel.agent.language_models.local.llama import Llama

_RECORDED = ("decode", "branch", "truncate", "clear", "restore")


class Recording:
    """Records the calls of a `Llama` within a `with` block; `replay` makes them again.

    They only do the same if the model holds the same before both: let it forget before the block and before `replay`.

    Example:
        >>> with Recording(model.llama) as recording:  # doctest: +SKIP
        ...     model.log_likelihood("- Tea", [" Jam"])
        >>> model.forget()  # doctest: +SKIP
        >>> seconds = recording.replay()  # doctest: +SKIP
    """

    def __init__(self, llama: Llama) -> None:
        self._llama = llama
        self._calls: list[tuple[str, tuple[Any, ...]]] = []

    def __enter__(self) -> Self:
        for name in _RECORDED:
            setattr(self._llama, name, self._recorded(name, getattr(self._llama, name)))
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for name in _RECORDED:  # the class's own methods show again
            delattr(self._llama, name)

    def _recorded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            self._calls.append((name, arguments))
            return call(*arguments)

        return record

    @property
    def rows(self) -> int:
        """Tokens that were read."""
        return sum(len(arguments[0]) for name, arguments in self._calls if name == "decode")

    def replay(self) -> float:
        """Make the same calls in the same order and return the seconds; batches are laid out beforehand."""
        calls = [
            self._llama.prepare_decode(arguments[0])
            if name == "decode"
            else partial(getattr(self._llama, name), *arguments)
            for name, arguments in self._calls
        ]
        started = time.perf_counter()
        for call in calls:
            call()
        self._llama.synchronise()
        return time.perf_counter() - started
