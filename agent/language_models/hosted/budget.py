"""A hard limit on what the calls of a hosted model may cost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from whimbrel.agent.language_models.hosted.prices import PRICES_VARIABLE, Price
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.tools.errors import ConfigError, ModelError

_ROUNDING_USD = 1e-12  # sums of prices are inexact, and a budget that is spent exactly is not exceeded


class BudgetError(ModelError):
    """The budget does not allow another call."""


@dataclass(frozen=True)
class Budget:
    """Limit on the total of all calls of a model.

    Attributes:
        tokens: The most tokens read and written in total. None sets no limit.
        usd: The most US dollars spent in total. None sets no limit.

    Example:
        >>> Budget(usd=0.5)
        Budget(tokens=None, usd=0.5)
    """

    tokens: int | None = None
    usd: float | None = None


class Account:
    """Keeps a model within its budget.

    Before a call, the largest possible cost is reserved. After the call, its actual cost is charged. Several threads
    may share an account. Calls in progress count with their reserved cost, so the budget is never exceeded.
    """

    def __init__(self, budget: Budget, price: Price | None, *, model: str) -> None:
        if budget.usd is not None and price is None:
            raise ConfigError(
                f"the price of {model!r} is not known, so a budget in US dollars cannot be kept: write the price into "
                f"a file and set {PRICES_VARIABLE} to its path, or give a budget in tokens"
            )
        self._budget, self._price, self._model = budget, price, model
        self._lock = threading.Lock()
        self._tokens, self._usd = 0, 0.0

    @contextmanager
    def reserve(self, *, prompt_tokens: int, max_tokens: int) -> Iterator[list[Usage]]:
        """Reserve the cost of a call that reads `prompt_tokens` and writes up to `max_tokens`.

        Yields:
            An empty list. Append what the call used, even if the call failed. That cost is charged, and the rest of
            the reserved cost is released.

        Raises:
            BudgetError: The call may cost more than is left of the budget.
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
                    f"the budget of {exceeded[0]} for {self._model!r} does not allow another call of up to "
                    f"{reserved.prompt_tokens + reserved.completion_tokens} tokens ({self._tokens} tokens and "
                    f"{self._usd:.4f} US dollars are used or reserved): raise the budget, or use --llm none"
                )

    def _add(self, usage: Usage, sign: int) -> None:
        self._tokens += sign * (usage.prompt_tokens + usage.completion_tokens)
        self._usd += sign * (self._price.of(usage) if self._price else 0.0)
