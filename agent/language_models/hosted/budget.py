"""A hard limit on what calls of a hosted model may cost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from whimbrel.agent.language_models.hosted.prices import PRICES_VARIABLE, Price
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.errors import ConfigError, ModelError


class BudgetError(ModelError):
    """The budget does not allow another call."""


@dataclass(frozen=True)
class Budget:
    """Tokens (read and written) and US dollars that a model may use in all; None is without limit."""

    tokens: int | None = None
    usd: float | None = None


class Account:
    """Keeps a budget: before a call, what it may cost at most must be left; after it, what it did cost is taken.

    Safe for several threads. Calls under way count with the most that they may cost.
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
    def call(self, *, prompt_tokens: int, max_tokens: int) -> Iterator[list[Usage]]:
        """A call that reads and writes so much at most; put into the list what it did use, also where it failed.

        Raises:
            ModelError: less than that is left.
        """
        most = Usage(prompt_tokens=prompt_tokens, completion_tokens=max_tokens)
        self._take(most)
        used: list[Usage] = []
        try:
            yield used
        finally:
            with self._lock:
                self._add(most, -1)
                self._add(sum(used, Usage()), 1)

    def _take(self, most: Usage) -> None:
        with self._lock:
            self._add(most, 1)
            tokens, usd = self._budget.tokens, self._budget.usd
            over = [f"{tokens} tokens"] if tokens is not None and self._tokens > tokens else []
            over += [f"{usd} US dollars"] if usd is not None and self._usd > usd + 1e-12 else []
            if over:
                self._add(most, -1)
                raise BudgetError(
                    f"the budget of {over[0]} for {self._model!r} does not allow another call, which may take "
                    f"{most.prompt_tokens + most.completion_tokens} tokens ({self._tokens} tokens, "
                    f"{self._usd:.4f} US dollars are used or under way): raise it, or use --llm none"
                )

    def _add(self, usage: Usage, sign: int) -> None:
        self._tokens += sign * (usage.prompt_tokens + usage.completion_tokens)
        self._usd += sign * (self._price.of(usage) if self._price else 0.0)
