"""A language model with scripted replies, for tests and demonstrations without a real model."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Tier, Usage
from whimbrel.prompts import Message

Script = Mapping[str, Any] | str


class ScriptedModel:
    """A model whose replies are prepared, keyed by the name of the requested schema.

    Attributes:
        conversations: The conversations that the model has answered, in order.

    Example:
        >>> model = ScriptedModel({"SummaryReply": {"summary": "Lately mostly tea."}})
        >>> model.scores
        True
    """

    spec = digest = "scripted"

    def __init__(
        self,
        replies: Mapping[str, Script | Callable[[Sequence[Message]], Script]] | None = None,
        *,
        likelihood: Callable[[str, str], float] | None = None,
        scores: bool = True,
        context_tokens: int = 4096,
        tier: Tier = "fills",
    ) -> None:
        """Prepare a model.

        Args:
            replies: The replies, keyed by the schema's name. A mapping is sent as JSON, and a text is sent unchanged.
                A function gets the messages and returns a mapping or a text. A schema without a reply gets `{}`.
            likelihood: Function that returns the log-likelihood of a continuation after a prompt. By default it
                returns a number that looks random and is the same for the same texts.
            scores: Whether the model gives likelihoods.
            context_tokens: The most tokens of a prompt and its reply. A word counts as a token.
            tier: What the model is capable of. It is not measured.
        """
        self.scores, self.context_tokens, self.tier = scores, context_tokens, tier
        self._replies = dict(replies or {})
        self._likelihood = likelihood or _pseudo_random_likelihood
        self.conversations: list[Sequence[Message]] = []

    def count_tokens(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return the scripted reply to each conversation."""
        return [self._reply(messages, schema) for messages in conversations]

    def _reply(self, messages: Sequence[Message], schema: type[T]) -> Generation[T]:
        self.conversations.append(messages)
        reply = self._replies.get(schema.__name__, {})
        if callable(reply):
            reply = reply(messages)
        text = reply if isinstance(reply, str) else json.dumps(reply)
        words = sum(self.count_tokens(message["content"]) for message in messages)
        usage = Usage(llm_calls=1, prompt_tokens=words, completion_tokens=len(text.split()))
        return parse_reply(text, schema, usage)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the scripted likelihood of each continuation."""
        words = len(prompt.split())
        usage = Usage(
            llm_calls=1,
            prompt_tokens=words * len(continuations) + sum(len(text.split()) for text in continuations),
            cached_tokens=words * max(len(continuations) - 1, 0),  # like a model that reads the prompt once
        )
        return Likelihoods([self._likelihood(prompt, text) for text in continuations], usage)

    def forget(self) -> None:
        """Drop the conversations."""
        self.conversations.clear()


def _pseudo_random_likelihood(prompt: str, continuation: str) -> float:
    # a checksum, since `hash` would differ from process to process
    return -10.0 * (1 + zlib.crc32(f"{prompt}\n{continuation}".encode()) / 2**32)
