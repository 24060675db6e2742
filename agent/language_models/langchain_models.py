"""LangChain on both sides: any chat model of LangChain as a language model here, and the local model as one there."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel, ConfigDict

from whimbrel.agent.language_models.local import LocalModel
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Usage
from whimbrel.agent.language_models.replies import fit
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.language_models.tokens import TokenCounter
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError

CONCURRENT = 4
_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class LangChainModel:
    """Any LangChain chat model. Asks for structured output where the model offers it, else for plain words."""

    scores = False
    context_tokens = 8192

    def __init__(self, chat: BaseChatModel) -> None:
        name = str(getattr(chat, "model_name", None) or getattr(chat, "model", None) or chat._llm_type)
        self.spec = f"langchain:{name}"
        self.digest = f"{type(chat).__name__}:{name}"
        self.count_tokens = TokenCounter(name)
        self._chat = chat
        self._structured = True

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        prompts = [convert_to_messages([(m["role"], m["content"]) for m in messages]) for messages in conversations]
        replies = self._ask(prompts, schema)
        return [self._read(reply, schema, prompt) for reply, prompt in zip(replies, prompts, strict=True)]

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        raise ModelError(f"model {self.spec!r} gives no likelihoods")

    def forget(self) -> None:
        pass  # keeps nothing

    def _ask(self, prompts: list[list[BaseMessage]], schema: type[BaseModel]) -> list[Any]:
        config: Any = {"max_concurrency": CONCURRENT}
        if self._structured:
            try:
                asked: Any = self._chat.with_structured_output(schema, include_raw=True)
                return list(asked.batch(prompts, config))
            except (NotImplementedError, TypeError, ValueError):
                self._structured = False  # this model has no such thing
            except Exception as error:
                raise self._failure(error) from error
        try:
            return list(self._chat.batch(prompts, config))  # type: ignore[arg-type]
        except Exception as error:
            raise self._failure(error) from error

    def _read(self, reply: Any, schema: type[T], prompt: list[BaseMessage]) -> Generation[T]:
        raw: AIMessage = reply["raw"] if isinstance(reply, dict) else reply
        called = [json.dumps(call["args"]) for call in getattr(raw, "tool_calls", [])]
        text = called[0] if called else str(raw.text)
        counted = getattr(raw, "usage_metadata", None) or {}
        read = sum(self.count_tokens(str(message.text)) for message in prompt)
        usage = Usage(
            llm_calls=1,
            prompt_tokens=int(counted.get("input_tokens", read)),
            cached_tokens=int((counted.get("input_token_details") or {}).get("cache_read", 0)),
            completion_tokens=int(counted.get("output_tokens", self.count_tokens(text))),
        )
        return fit(text, schema, usage)

    def _failure(self, error: Exception) -> ModelError:
        return ModelError(
            f"{self.spec!r} failed ({type(error).__name__}: {str(error)[:160]}): try again, or another model"
        )


class LocalChatModel(BaseChatModel):
    """A local model (`bundled`, `gguf:PATH` or `hf:REPO:FILE`) as a chat model of LangChain.

    `with_structured_output` holds its replies to a schema by a grammar. Replies are the likeliest ones.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    local: Any
    max_tokens: int = 256

    @classmethod
    def open(cls, spec: str = "bundled", **settings: Any) -> "LocalChatModel":
        """The model of a spec.

        Raises:
            ConfigError: the spec is not that of a local model.
            ModelError: the model cannot be loaded.
        """
        model = open_model(spec, remember=False)
        if not isinstance(model, LocalModel):
            raise ConfigError(f"{spec!r} is no local model: give bundled, gguf:PATH or hf:REPO:FILE")
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
        text = "".join(self._pieces(messages, stop, kwargs))
        read, written = sum(self.local.count_tokens(str(m.text)) for m in messages), self.local.count_tokens(text)
        message = AIMessage(
            content=text,
            usage_metadata={"input_tokens": read, "output_tokens": written, "total_tokens": read + written},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for piece in self._pieces(messages, stop, kwargs):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk

    def _pieces(self, messages: list[BaseMessage], stop: list[str] | None, settings: dict[str, Any]) -> Iterator[str]:
        """What is written, up to the first of the texts in `stop`."""
        asked: list[Message] = [
            Message(role=_ROLES.get(message.type, "user"), content=str(message.text))  # type: ignore[typeddict-item]
            for message in messages
        ]
        schema, max_tokens = settings.get("schema"), int(settings.get("max_tokens") or self.max_tokens)
        held = ""
        longest = max(map(len, stop or []), default=1) - 1
        for piece in self.local.stream(asked, max_tokens=max_tokens, schema=schema):
            held += piece
            ends = [held.index(text) for text in stop or [] if text in held]
            if ends:
                yield held[: min(ends)]
                return
            if len(held) > longest:
                yield held[: len(held) - longest]
                held = held[len(held) - longest :]
        if held:
            yield held

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Runnable[Any, Any]:
        """Replies as instances of a pydantic model, or as dicts of a JSON schema."""
        typed = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        shape = typed.model_json_schema() if typed else schema

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

        return self.bind(schema=shape) | RunnableLambda(parse)
