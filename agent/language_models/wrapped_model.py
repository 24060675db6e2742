"""A language model around another one, which it asks. It is the base of models that add one thing."""

from collections.abc import Sequence

from whimbrel.agent.language_models.protocol import Generation, LanguageModel, Likelihoods, T
from whimbrel.prompts import Message


class WrappedModel:
    """A model that answers as the model within does. Subclasses change what they add something to.

    Attributes:
        model: The model within.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.spec, self.digest, self.context_tokens = model.spec, model.digest, model.context_tokens
        self.count_tokens = model.count_tokens

    @property
    def scores(self) -> bool:
        """Whether the model gives likelihoods."""
        return self.model.scores

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation."""
        return self.model.generate(conversations, schema=schema, max_tokens=max_tokens)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihoods of continuations."""
        return self.model.log_likelihood(prompt, continuations)

    def forget(self) -> None:
        """Let the model forget the earlier prompts."""
        self.model.forget()

    def close(self) -> None:
        """Release the model."""
        close = getattr(self.model, "close", None)
        if close:
            close()
