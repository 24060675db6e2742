"""The protocol of a language model. All models reply in a schema, and some give likelihoods of texts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Generic, Literal, Protocol, Self, TypeVar, get_args

from pydantic import BaseModel

from whimbrel.prompts import Message

T = TypeVar("T", bound=BaseModel)
Tier = Literal["fills", "orders", "reads"]
"""What a model is capable of. Each tier includes the ones before it.

fills: it fills a schema.
orders: it puts options into a sensible order.
reads: it reads a person from their events.
"""
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True)
class Usage:
    """Cost of some calls of a model. `+` adds two costs.

    Attributes:
        llm_calls: Calls of the model.
        prompt_tokens: Tokens of the prompts, whether the model read them or took them from a cache.
        cached_tokens: The tokens among `prompt_tokens` that were taken from a cache.
        completion_tokens: Tokens that the model wrote.
        cost_usd: Cost in US dollars; 0 if the price is not known.
        generations: Replies that were asked for.
        misfits: Replies that did not fit their schema.
        remembered: Replies and likelihoods from the cache on disk, which cost nothing.
        repairs: Faults of replies that were mended. They are documents that were cut off, and numbers that were
            invented, repeated or left out.

    Example:
        >>> (Usage(llm_calls=1, prompt_tokens=9) + Usage(llm_calls=1)).llm_calls
        2
    """

    llm_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    generations: int = 0
    misfits: int = 0
    remembered: int = 0
    repairs: int = 0

    def __add__(self, other: Self) -> "Usage":
        return Usage(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


NO_USAGE = Usage()


@dataclass(frozen=True)
class Generation(Generic[T]):
    """A reply.

    Attributes:
        value: An instance of the requested schema; None if the reply does not fit it.
        usage: What the reply cost.
        misfit: Why there is no value, in words for the user; empty if there is one.
    """

    value: T | None
    usage: Usage
    misfit: str = ""


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihoods of continuations.

    Attributes:
        values: One natural logarithm per continuation, in the order asked. It is the sum over the tokens.
        usage: What the likelihoods cost.
    """

    values: list[float]
    usage: Usage


class LanguageModel(Protocol):
    """A language model. Any class with these members can be used as one."""

    @property
    def spec(self) -> str:
        """The name by which the user calls the model."""
        ...

    @property
    def digest(self) -> str:
        """Name of the weights, or of the model and its server if the weights are not accessible.

        Models with the same digest give the same answers.
        """
        ...

    @property
    def context_tokens(self) -> int:
        """The most tokens of a prompt and its reply together."""
        ...

    @property
    def scores(self) -> bool:
        """Whether `log_likelihood` can be called."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text. If it is an estimate, it is never too low."""
        ...

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation, in order.

        Args:
            conversations: Lists of messages. The user's message is the last in each.
            schema: A pydantic model that the replies must fit.
            max_tokens: The most tokens of a reply.

        Raises:
            ModelError: The model cannot be reached or run. A reply that does not fit the schema is not an error.
        """
        ...

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihood of each text after `prompt`.

        Raises:
            ModelError: The model gives no likelihoods.
        """
        ...

    def forget(self) -> None:
        """Drop the earlier prompts, so that the next answer does not depend on them."""
        ...
