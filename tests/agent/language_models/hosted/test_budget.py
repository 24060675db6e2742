"""A budget is never exceeded."""

import threading

import pytest

from whimbrel.agent import ConfigError, ModelError
from whimbrel.agent.language_models.hosted.budget import Account, Budget
from whimbrel.agent.language_models.hosted.prices import Price
from whimbrel.agent.language_models.protocol import Usage


def test_a_budget_is_never_overdrawn_by_calls_side_by_side() -> None:
    account = Account(Budget(tokens=1000), None, model="m")
    refusals: list[str] = []
    used: list[int] = []

    def call() -> None:
        try:
            with account.reserve(prompt_tokens=60, max_tokens=40) as spent:
                spent.append(Usage(prompt_tokens=60, completion_tokens=20))
                used.append(80)
        except ModelError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(used) <= 1000
    assert len(used) + len(refusals) == 40
    assert len(used) >= 10
    assert "the budget of 1000 tokens" in refusals[0]


def test_a_budget_in_money_needs_a_price_and_stops_before_it_is_overdrawn() -> None:
    with pytest.raises(ConfigError, match="price of 'm' is not known"):
        Account(Budget(usd=1.0), None, model="m")
    account = Account(Budget(usd=1.0), Price(input=1e6, cached=0, output=1e6), model="m")  # a dollar a token
    with pytest.raises(ModelError, match=r"budget of 1.0 US dollars"), account.reserve(prompt_tokens=1, max_tokens=1):
        pass
    with account.reserve(prompt_tokens=1, max_tokens=0):
        pass  # failed, costs nothing
    with account.reserve(prompt_tokens=1, max_tokens=0) as spent:
        spent.append(Usage(prompt_tokens=1))
    with pytest.raises(ModelError, match="budget"), account.reserve(prompt_tokens=1, max_tokens=0):
        pass
