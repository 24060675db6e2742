"""Use of any LangChain chat model as a language model of Whimbrel."""

import json
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from pydantic import BaseModel

from whimbrel.agent.language_models.hosted.replies import Answer, read_reply
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Usage
from whimbrel.agent.language_models.tokens import TokenCounter, reported_tokens
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError
from whimbrel.tools.observing import content_is_wanted
from whimbrel.tools.tracing import traced_as_wanted

# Words by which providers refuse structured output.
_STRUCTURE_WORDS = re.compile(
    r"\btool|function.?call|structured|response_?format|json_?(schema|mode|object)|grammar", re.IGNORECASE
)

CONCURRENT_REQUESTS = 4
"""The number of conversations that the chat model answers at once."""


class LangChainModel:
    """A LangChain chat model. It is asked for structured output if it offers any, else for plain text.

    Example:
        >>> from langchain_core.language_models.fake_chat_models import FakeListChatModel
        >>> LangChainModel(FakeListChatModel(responses=["..."])).scores
        False
    """

    scores = False
    context_tokens = 8192

    def __init__(self, chat: BaseChatModel) -> None:
        name = str(getattr(chat, "model_name", None) or getattr(chat, "model", None) or chat._llm_type)
        self.spec = f"langchain:{name}"
        self.digest = f"{type(chat).__name__}:{name}"
        self.count_tokens = TokenCounter(name)
        self._chat = chat
        self._is_structured = True

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation. `max_tokens` is ignored; the chat model has its own limit.

        If the chat model fails for some conversations only, those get no value.
        """
        prompts = [convert_to_messages([(m["role"], m["content"]) for m in messages]) for messages in conversations]
        replies = self._ask(prompts, schema)
        errors = [self._failure(reply) for reply in replies if isinstance(reply, Exception)]
        if errors and len(errors) == len(replies):
            raise errors[0]
        return [self._read(reply, schema, prompt) for reply, prompt in zip(replies, prompts, strict=True)]

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Raise ModelError: LangChain's chat models give no likelihoods."""
        raise ModelError(f"model {self.spec!r} gives no likelihoods")

    def forget(self) -> None:
        """Do nothing: replies do not depend on earlier ones."""

    def _ask(self, prompts: list[list[BaseMessage]], schema: type[BaseModel]) -> list[Any]:
        """Return one reply or exception per prompt."""
        if self._is_structured:
            try:
                structured: Any = self._chat.with_structured_output(schema, include_raw=True)
                replies = _batch(structured, prompts)
            except Exception as error:
                replies = [error] * len(prompts)
            if not prompts or not all(_lacks_structure(reply) for reply in replies):
                return replies
            self._is_structured = False  # this chat model offers no structured output
        return _batch(self._chat, prompts)

    def _read(self, reply: Any, schema: type[T], prompt: list[BaseMessage]) -> Generation[T]:
        if isinstance(reply, Exception):
            return Generation(None, Usage(generations=1, misfits=1), misfit=str(self._failure(reply)))
        raw = reply.get("raw") if isinstance(reply, dict) else reply
        if not isinstance(raw, AIMessage):  # the chat model ignores `include_raw`
            raw = AIMessage(reply.model_dump_json() if isinstance(reply, BaseModel) else json.dumps(reply, default=str))
        arguments = [json.dumps(call["args"], default=str) for call in raw.tool_calls]
        text = arguments[0] if arguments else str(raw.text)
        answer = Answer(
            text=text,
            refusal=str(raw.additional_kwargs.get("refusal") or ""),
            finish_reason=str(raw.response_metadata.get("finish_reason") or ""),
        )
        usage = self._usage(raw.usage_metadata or {}, prompt, text)
        return read_reply(answer, schema, usage, most_tokens=usage.completion_tokens)

    def _usage(self, counts: Any, prompt: list[BaseMessage], text: str) -> Usage:
        """Return the chat model's token counts, or our own estimate if it gives none."""
        prompt_tokens = reported_tokens(counts, "input_tokens")
        completion_tokens = reported_tokens(counts, "output_tokens")
        if prompt_tokens is None:
            prompt_tokens = sum(self.count_tokens(str(message.text)) for message in prompt)
        cached_tokens = reported_tokens(counts.get("input_token_details") or {}, "cache_read") or 0
        return Usage(
            llm_calls=1,
            prompt_tokens=prompt_tokens,
            cached_tokens=min(cached_tokens, prompt_tokens),
            completion_tokens=self.count_tokens(text) if completion_tokens is None else completion_tokens,
        )

    def _failure(self, error: Exception) -> ModelError:
        return ModelError(
            f"{self.spec!r} failed ({type(error).__name__}: {str(error)[:160]}): try again, or use another model"
        )


def _batch(chat: Any, prompts: list[list[BaseMessage]]) -> list[Any]:
    """Return the reply to each prompt, or the exception that it raised."""
    try:
        with traced_as_wanted():
            config: Any = {"max_concurrency": CONCURRENT_REQUESTS}
            if not content_is_wanted():  # `ObservedModel` tells callbacks of the call, without its content
                config["callbacks"] = []
            return list(chat.batch(prompts, config, return_exceptions=True))
    except Exception as error:  # this class does not return exceptions
        return [error] * len(prompts)


def _lacks_structure(reply: Any) -> bool:
    """Return whether a reply is an error that means that the chat model offers no structured output.

    Each provider raises an exception of its own class, so its words count.
    """
    is_python_error = isinstance(reply, NotImplementedError | TypeError | ValueError | AttributeError | ImportError)
    return isinstance(reply, Exception) and (is_python_error or bool(_STRUCTURE_WORDS.search(str(reply))))
