"""Prices of hosted models, from the package genai-prices or from the user's own file.

The package contains its data, so prices are never fetched. They are those of the installed version. The user names a
file in WHIMBREL_PRICES. A price in that file replaces the package's price of the same model.
"""

import os
import re
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.errors import ConfigError

PRICES_VARIABLE = "WHIMBREL_PRICES"
"""The environment variable that names the user's own price list."""

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
# Some models cost more per token in long requests. No request here exceeds HostedModel.context_tokens, so the prices of
# short requests apply.
_SHORT_REQUEST_TOKENS = 1000


class Price(BaseModel):
    """Prices of a model in US dollars per million tokens.

    Attributes:
        input: Price of the tokens that the model reads.
        cached: Price of the tokens that the server takes from its cache instead of reading them.
        output: Price of the tokens that the model writes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    cached: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, usage: Usage) -> float:
        """Return the cost of `usage` in US dollars.

        Example:
            >>> Price(input=2, cached=1, output=8).of(Usage(prompt_tokens=1000, cached_tokens=500))
            0.0015
        """
        uncached = max(usage.prompt_tokens - usage.cached_tokens, 0)
        return (uncached * self.input + usage.cached_tokens * self.cached + usage.completion_tokens * self.output) / 1e6


class _PriceList(BaseModel):
    as_of: str
    usd_per_million_tokens: dict[str, Price]


def price_of(model: str) -> Price | None:
    """Return the price of a model; None if it is not known.

    A dated version of a model costs as much as the model, unless it has its own price. Only the model's name counts,
    not the server. The user's file is searched first.

    Raises:
        ConfigError: The user's file cannot be read or is not a price list.
    """
    user_prices = _user_prices(os.environ.get(PRICES_VARIABLE, ""))
    return user_prices.get(model) or user_prices.get(_DATED.sub("", model)) or _listed_price(model)


@cache
def _listed_price(model: str) -> Price | None:
    """Return the price that genai-prices lists for an OpenAI model."""
    from genai_prices import Usage as PricedUsage
    from genai_prices import calc_price

    tokens = _SHORT_REQUEST_TOKENS
    usages = {
        "input": PricedUsage(input_tokens=tokens),
        "cached": PricedUsage(input_tokens=tokens, cache_read_tokens=tokens),
        "output": PricedUsage(output_tokens=tokens),
    }
    try:
        totals = {name: calc_price(usage, model, provider_id="openai").total_price for name, usage in usages.items()}
    except LookupError:
        return None
    return Price(**{name: float(total * 1_000_000 / tokens) for name, total in totals.items()})


@cache
def _user_prices(path: str) -> dict[str, Price]:
    if not path:
        return {}
    try:
        return _PriceList.model_validate_json(Path(path).expanduser().read_text("utf-8")).usd_per_million_tokens
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{PRICES_VARIABLE}={path!r} is not a price list ({str(error).splitlines()[0]}): expected "
            '{"as_of": DATE, "usd_per_million_tokens": {MODEL: {"input": USD, "cached": USD, "output": USD}}}'
        ) from error
