"""What hosted models cost: a dated file, overridden by one of the user's own (`WHIMBREL_PRICES`)."""

import os
import re
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.errors import ConfigError

VARIABLE = "WHIMBREL_PRICES"
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Price(BaseModel):
    """US dollars for a million tokens read, read from the server's cache, and written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    cached: float = Field(ge=0)
    output: float = Field(ge=0)

    def of(self, usage: Usage) -> float:
        """What calls cost, in US dollars."""
        fresh = max(usage.prompt_tokens - usage.cached_tokens, 0)
        return (fresh * self.input + usage.cached_tokens * self.cached + usage.completion_tokens * self.output) / 1e6


class _Prices(BaseModel):
    as_of: str
    usd_per_million_tokens: dict[str, Price]


def price_of(model: str) -> Price | None:
    """The price of a model, also of its dated versions; None where it is not known.

    Raises:
        ConfigError: the user's file cannot be read, or is no list of prices.
    """
    known = _shipped() | _own(os.environ.get(VARIABLE, ""))
    return known.get(model) or known.get(_DATED.sub("", model))


@cache
def _shipped() -> dict[str, Price]:
    text = resources.files(__package__).joinpath("prices.json").read_text("utf-8")
    return _Prices.model_validate_json(text).usd_per_million_tokens


@cache
def _own(path: str) -> dict[str, Price]:
    if not path:
        return {}
    try:
        return _Prices.model_validate_json(Path(path).expanduser().read_text("utf-8")).usd_per_million_tokens
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{VARIABLE}={path!r} is no list of prices ({str(error).splitlines()[0]}): expected "
            '{"as_of": DATE, "usd_per_million_tokens": {MODEL: {"input": USD, "cached": USD, "output": USD}}}'
        ) from error
