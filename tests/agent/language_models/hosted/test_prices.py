"""Prices of hosted models: those that ship with the package of prices, and those of a file of one's own."""

import json
from pathlib import Path

import pytest

from whimbrel.agent.language_models.hosted.prices import Price, price_of
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.errors import ConfigError


@pytest.mark.parametrize(
    ("model", "price"),
    [
        ("gpt-4o", Price(input=2.5, cached=1.25, output=10)),
        ("gpt-4o-mini", Price(input=0.15, cached=0.075, output=0.6)),
        ("gpt-4.1", Price(input=2, cached=0.5, output=8)),
        ("gpt-5-nano", Price(input=0.05, cached=0.005, output=0.4)),
        ("unheard-of", None),
    ],
)
def test_prices_are_known_without_a_network(model: str, price: Price | None) -> None:
    assert price_of(model) == price


def test_tokens_from_the_cache_cost_less() -> None:
    price = price_of("gpt-4o-mini-2024-07-18")
    assert price == price_of("gpt-4o-mini")
    assert price is not None
    usage = Usage(prompt_tokens=1_000_000, cached_tokens=400_000, completion_tokens=100_000)
    assert price.of(usage) == pytest.approx(0.6 * price.input + 0.4 * price.cached + 0.1 * price.output)


def test_a_file_of_ones_own_comes_first_and_the_rest_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = price_of("gpt-4o-mini")
    prices = {name: {"input": 1, "cached": 0.5, "output": 2} for name in ("gpt-4o", "local")}
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"as_of": "2026-01-01", "usd_per_million_tokens": prices}))
    monkeypatch.setenv("WHIMBREL_PRICES", str(path))
    assert price_of("gpt-4o") == price_of("gpt-4o-2026-01-31") == price_of("local")
    assert price_of("local") == Price(input=1, cached=0.5, output=2)
    assert price_of("gpt-4o-mini") == shipped


def test_prices_that_are_none_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_PRICES", str(tmp_path / "absent.json"))
    with pytest.raises(ConfigError, match="WHIMBREL_PRICES"):
        price_of("m")
