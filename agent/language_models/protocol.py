"""What Whimbrel asks of a language model: a reply that fits a schema and, where it can, likelihoods of texts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Generic, Protocol, Self, TypeVar

from pydantic import BaseModel

from whimbrel.prompts import Message

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Usage:
    """What calls cost. `prompt_tokens` counts every token the model had before it, `cached_tokens` those of them
    that it did not have to read again; of `generations` replies `misfits` fitted no schema, `remembered` came from
    the cache of replies and cost nothing; `repairs` counts what had to be mended in replies."""

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
    """A reply; `value` is None where what came back fitted no schema (then `misfit` says what came)."""

    value: T | None
    usage: Usage
    misfit: str = ""


@dataclass(frozen=True)
class Likelihoods:
    """Natural log-likelihoods of continuations, each summed over its tokens, in the order asked."""

    values: list[float]
    usage: Usage


class LanguageModel(Protocol):
    """A language model. What answers the same has the same `digest`; `context_tokens` hold a prompt and its reply."""

    @property
    def spec(self) -> str:
        """What a person calls it."""
        ...

    @property
    def digest(self) -> str:
        """Names its weights, or its name and server where those are out of sight."""
        ...

    @property
    def context_tokens(self) -> int:
        """Tokens that a prompt and its reply may take."""
        ...

    @property
    def scores(self) -> bool:
        """Whether `log_likelihood` can be asked."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, or no fewer where they can only be estimated."""
        ...

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Conversations in, for each an instance of `schema` out, in order.

        Raises:
            ModelError: the model cannot be reached or run. A reply that fits no schema is no error.
        """
        ...

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """How likely each text is to follow `prompt`.

        Raises:
            ModelError: this model gives no likelihoods, or the prompt is longer than its context.
        """
        ...

    def forget(self) -> None:
        """Drop what was read before, so that the next answer does not depend on it."""
        ...
