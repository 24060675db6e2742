"""A hard limit on what the calls of a hosted model may cost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from whimbrel.agent.language_models.hosted.prices import PRICES_VARIABLE, Price
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.tools.errors import ConfigError, ModelError

_ROUNDING_USD = 1e-12  # sums of prices are inexact; a budget spent to the cent still counts as kept


class BudgetError(ModelError):
    """The budget does not allow another call."""


@dataclass(frozen=True)
class Budget:
    """Limit on all calls of a model together.

    Attributes:
        tokens: Most tokens read and written in all; None sets no limit.
        usd: Most US dollars in all; None sets no limit.

    Example:
        >>> Budget(usd=0.5)
        Budget(tokens=None, usd=0.5)
    """

    tokens: int | None = None
    usd: float | None = None


class Account:
    """Keeps a budget: reserves the most that a call may cost before it, and charges what it did cost after it.

    Safe for several threads: calls in progress count with their reserved cost, so the budget is never exceeded.
    """

    def __init__(self, budget: Budget, price: Price | None, *, model: str) -> None:
        if budget.usd is not None and price is None:
            raise ConfigError(
                f"the price of {model!r} is not known, so no budget in money can be kept: name it in a file and set "
                f"{PRICES_VARIABLE} to that, or give a budget in tokens"
            )
        self._budget, self._price, self._model = budget, price, model
        self._lock = threading.Lock()
        self._tokens, self._usd = 0, 0.0

    @contextmanager
    def reserve(self, *, prompt_tokens: int, max_tokens: int) -> Iterator[list[Usage]]:
        """Reserve the cost of a call that reads `prompt_tokens` and writes up to `max_tokens`.

        Yields:
            An empty list. Append what the call used, also where it failed: that is charged, the rest is released.

        Raises:
            BudgetError: The rest of the budget is smaller.
        """
        reserved = Usage(prompt_tokens=prompt_tokens, completion_tokens=max_tokens)
        self._take(reserved)
        used: list[Usage] = []
        try:
            yield used
        finally:
            with self._lock:
                self._add(reserved, -1)
                self._add(sum(used, NO_USAGE), 1)

    def _take(self, reserved: Usage) -> None:
        with self._lock:
            self._add(reserved, 1)
            tokens, usd = self._budget.tokens, self._budget.usd
            exceeded = [f"{tokens} tokens"] if tokens is not None and self._tokens > tokens else []
            exceeded += [f"{usd} US dollars"] if usd is not None and self._usd > usd + _ROUNDING_USD else []
            if exceeded:
                self._add(reserved, -1)
                raise BudgetError(
                    f"the budget of {exceeded[0]} for {self._model!r} does not allow another call, which may take "
                    f"{reserved.prompt_tokens + reserved.completion_tokens} tokens ({self._tokens} tokens, "
                    f"{self._usd:.4f} US dollars are used or reserved): raise it, or use --llm none"
                )

    def _add(self, usage: Usage, sign: int) -> None:
        self._tokens += sign * (usage.prompt_tokens + usage.completion_tokens)
        self._usd += sign * (self._price.of(usage) if self._price else 0.0)
