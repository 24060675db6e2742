"""Prices of hosted models, from the package genai-prices or from a file of the user's own.

The package ships its data, so no price is ever fetched: prices are as of the installed version. A file named by
WHIMBREL_PRICES overrides them model by model.
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
# Some models cost more a token in long requests. No request here exceeds HostedModel.context_tokens, so prices are
# asked for a short one.
_SHORT_REQUEST_TOKENS = 1000


class Price(BaseModel):
    """Price of a model in US dollars per million tokens.

    Attributes:
        input: Tokens that the model reads.
        cached: Tokens that the server takes from its cache instead of reading them.
        output: Tokens that the model writes.
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
    """Return the price of a model or of one of its dated versions; None if it is not known.

    The name alone decides, whichever server answers. A file of the user's own comes first.

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
