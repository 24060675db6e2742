"""Use of a local language model of Whimbrel as a LangChain chat model."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ConfigDict

from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.specs import open_model
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class LocalChatModel(BaseChatModel):
    """A local model (`bundled`, `gguf:PATH` or `hf:REPO:FILE`) as a LangChain chat model.

    The model always writes its likeliest reply. After `with_structured_output`, a grammar makes replies fit the schema.

    Attributes:
        local: The `LocalModel`.
        max_tokens: The most tokens of a reply, unless a call sets another limit.

    Example:
        >>> chat = LocalChatModel.open("bundled")  # doctest: +SKIP
        >>> chat.invoke("What is tea?").content  # doctest: +SKIP
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    local: Any
    max_tokens: int = 256

    @classmethod
    def open(cls, spec: str = "bundled", **settings: Any) -> "LocalChatModel":
        """Open the model of a spec.

        Raises:
            ConfigError: The spec does not name a local model.
            ModelError: The model cannot be loaded.
        """
        model = open_model(spec, remember=False)
        if not isinstance(model, LocalModel):
            raise ConfigError(f"{spec!r} is not a local model: give bundled, gguf:PATH or hf:REPO:FILE")
        return cls(local=model, **settings)

    @property
    def _llm_type(self) -> str:
        return f"whimbrel-{self.local.spec}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.local.digest, "max_tokens": self.max_tokens}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        conversation, settings = self._translated(messages, kwargs)
        text = "".join(_until_stop(iter([self.local.write(conversation, **settings)]), stop or []))
        prompt_tokens = sum(self.local.count_tokens(str(m.text)) for m in messages)
        completion_tokens = self.local.count_tokens(text)
        message = AIMessage(
            content=text,
            usage_metadata={
                "input_tokens": prompt_tokens,
                "output_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        conversation, settings = self._translated(messages, kwargs)
        for piece in _until_stop(self.local.stream(conversation, **settings), stop or []):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk

    def _translated(
        self, messages: Sequence[BaseMessage], settings: dict[str, Any]
    ) -> tuple[list[Message], dict[str, Any]]:
        """Return messages and settings in the form that the local model takes."""
        conversation = [
            Message(role=_ROLES.get(m.type, "user"), content=str(m.text))  # type: ignore[typeddict-item]
            for m in messages
        ]
        max_tokens = settings.get("max_tokens")
        return conversation, {
            "schema": settings.get("schema"),
            "max_tokens": self.max_tokens if max_tokens is None else max(int(max_tokens), 0),
        }

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Runnable[Any, Any]:
        """Return a runnable whose replies fit a schema.

        Args:
            schema: A pydantic model or a JSON schema. Replies are instances of the model, or dicts.
            include_raw: Return a dict with the keys `raw`, `parsed` and `parsing_error` instead. No error is raised.
            **kwargs: Ignored.
        """
        typed = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        json_schema = typed.model_json_schema() if typed else convert_to_json_schema(schema)

        def parse(message: AIMessage) -> Any:
            text = str(message.text)
            parsed, error = None, None
            try:
                parsed = typed.model_validate_json(text) if typed else json.loads(text)
            except ValueError as failure:
                error = failure
            if include_raw:
                return {"raw": message, "parsed": parsed, "parsing_error": error}
            if error:
                raise error
            return parsed

        return self.bind(schema=json_schema) | RunnableLambda(parse)


def _until_stop(pieces: Iterator[str], stop: list[str]) -> Iterator[str]:
    """Yield a text in pieces. End before the first occurrence of a text in `stop`."""
    held, longest = "", max(map(len, stop), default=1) - 1
    for piece in pieces:
        held += piece
        ends = [held.index(text) for text in stop if text in held]
        if ends:
            yield held[: min(ends)]
            return
        if len(held) > longest:  # the characters held back may begin a text in `stop`
            yield held[: len(held) - longest]
            held = held[len(held) - longest :]
    if held:
        yield held
