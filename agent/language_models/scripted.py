"""A language model that says what it is told to: for tests and demonstrations without a real one."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whimbrel.agent.language_models.parsers import fit
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Usage
from whimbrel.prompts import Message

Script = Mapping[str, Any] | str


class ScriptedModel:
    """Replies by the name of the schema asked for: a mapping (sent as JSON), a text (sent as it is), or a
    function of the messages that returns either. Without a reply for a schema it answers `{}`.

    Likelihoods come from `likelihood(prompt, continuation)`, by default a fixed pseudo-random number of the two.
    """

    spec = digest = "scripted"

    def __init__(
        self,
        replies: Mapping[str, Script | Callable[[Sequence[Message]], Script]] | None = None,
        *,
        likelihood: Callable[[str, str], float] | None = None,
        scores: bool = True,
        context_tokens: int = 4096,
    ) -> None:
        self.scores, self.context_tokens = scores, context_tokens
        self._replies = dict(replies or {})
        self._likelihood = likelihood or _arbitrary
        self.heard: list[Sequence[Message]] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        return [self._reply(messages, schema) for messages in conversations]

    def _reply(self, messages: Sequence[Message], schema: type[T]) -> Generation[T]:
        self.heard.append(messages)
        reply = self._replies.get(schema.__name__, {})
        if callable(reply):
            reply = reply(messages)
        text = reply if isinstance(reply, str) else json.dumps(reply)
        words = sum(self.count_tokens(message["content"]) for message in messages)
        usage = Usage(llm_calls=1, prompt_tokens=words, completion_tokens=len(text.split()))
        return fit(text, schema, usage)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        words = len(prompt.split())
        usage = Usage(
            llm_calls=1,
            prompt_tokens=words * len(continuations) + sum(len(text.split()) for text in continuations),
            cached_tokens=words * max(len(continuations) - 1, 0),
        )
        return Likelihoods([self._likelihood(prompt, text) for text in continuations], usage)

    def forget(self) -> None:
        self.heard.clear()


def _arbitrary(prompt: str, continuation: str) -> float:
    return -10.0 * (1 + zlib.crc32(f"{prompt}\n{continuation}".encode()) / 2**32)
