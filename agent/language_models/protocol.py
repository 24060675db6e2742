"""The protocol of a language model: replies that fit a schema and, from some models, likelihoods of texts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Generic, Protocol, Self, TypeVar

from pydantic import BaseModel

from whimbrel.prompts import Message

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Usage:
    """Cost of some calls of a model; costs are added with `+`.

    Attributes:
        llm_calls: Calls of the model.
        prompt_tokens: Tokens that the model had before it, whether read or taken from a cache.
        cached_tokens: Those of them that it did not have to read again.
        completion_tokens: Tokens written.
        cost_usd: US dollars; 0 if the price is not known.
        generations: Replies asked for.
        misfits: Replies that fitted no schema.
        remembered: Replies and likelihoods from the cache on disk, which cost nothing.
        repairs: Repairs of replies: documents completed, numbers invented, repeated or left out.

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
        value: An instance of the schema asked for, None if the reply fits no schema.
        usage: What it cost.
        misfit: The start of a reply that fits no schema, or why there is no reply.
    """

    value: T | None
    usage: Usage
    misfit: str = ""


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihoods of continuations.

    Attributes:
        values: Natural logarithms, each summed over the tokens of a continuation, in the order asked.
        usage: What they cost.
    """

    values: list[float]
    usage: Usage


class LanguageModel(Protocol):
    """A language model. Any class with these members can be used as one."""

    @property
    def spec(self) -> str:
        """What a person calls the model."""
        ...

    @property
    def digest(self) -> str:
        """Name of the weights, or of model and server if those are out of sight. Models of one digest answer alike."""
        ...

    @property
    def context_tokens(self) -> int:
        """Most tokens of a prompt and its reply together."""
        ...

    @property
    def scores(self) -> bool:
        """Whether `log_likelihood` can be called."""
        ...

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text; an estimate is never too low."""
        ...

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation, in order.

        Args:
            conversations: Each a list of messages that ends with the user's.
            schema: A pydantic model that the replies must fit.
            max_tokens: Most tokens of a reply.

        Raises:
            ModelError: The model cannot be reached or run. A reply that fits no schema is not an error.
        """
        ...

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return how likely each text is to follow `prompt`.

        Raises:
            ModelError: The model gives no likelihoods.
        """
        ...

    def forget(self) -> None:
        """Drop what was read before, so that the next answer does not depend on it."""
        ...
