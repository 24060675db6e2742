"""The cost of asking a hosted model is told before it is asked."""

import pytest

from whimbrel.agent.language_models.hosted.prices import Price
from whimbrel.agent.learning import ask_cost
from whimbrel.agent.learning.ask_cost import cost_words, forecast_usage


def test_the_forecast_grows_with_what_is_asked() -> None:
    few, many = forecast_usage(100), forecast_usage(300)
    assert many.llm_calls == 3 * few.llm_calls
    assert many.prompt_tokens == 3 * few.prompt_tokens
    # two readings and the orders of fifty and of twenty candidates: 4,000 to 10,000 tokens each
    assert 2 * 4_000 < (few.prompt_tokens + few.completion_tokens) / 100 < 2 * 10_000


def test_a_known_price_is_told_in_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def price_of(model: str) -> Price | None:
        asked.append(model)
        return Price(input=1, cached=1, output=1) if model == "gpt" else None

    monkeypatch.setattr(ask_cost, "price_of", price_of)
    usage = forecast_usage(100)
    dollars = (usage.prompt_tokens + usage.completion_tokens) / 1e6
    assert f"about {dollars:.2f} USD" in cost_words("openai:gpt", 100)
    unknown = cost_words("openai:own@http://127.0.0.1:1/v1", 100)
    assert "650 calls" in unknown
    assert "USD" not in unknown
    assert asked == ["gpt", "own"]


@pytest.mark.parametrize("spec", ["none", "bundled", "gguf:model.gguf"])
def test_a_model_on_this_machine_costs_nothing(spec: str) -> None:
    assert cost_words(spec, 300) == ""
