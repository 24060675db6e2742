"""LangChain on both sides: any chat model of LangChain as a language model here, and the local model as one there."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel, ConfigDict

from whimbrel.agent.language_models.hosted.model import tokens_said
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.parsers import fit
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Usage
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
        raw = reply.get("raw") if isinstance(reply, dict) else reply
        if not isinstance(raw, AIMessage):  # a model with an own idea of structured output
            raw = AIMessage(reply.model_dump_json() if isinstance(reply, BaseModel) else json.dumps(reply, default=str))
        called = [json.dumps(call["args"], default=str) for call in raw.tool_calls]
        text = called[0] if called else str(raw.text)
        counted: Any = raw.usage_metadata or {}
        read, written = tokens_said(counted, "input_tokens"), tokens_said(counted, "output_tokens")
        read = sum(self.count_tokens(str(message.text)) for message in prompt) if read is None else read
        cached = tokens_said(counted.get("input_token_details") or {}, "cache_read") or 0
        usage = Usage(
            llm_calls=1,
            prompt_tokens=read,
            cached_tokens=min(cached, read),
            completion_tokens=self.count_tokens(text) if written is None else written,
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
        asked, settings = self._asked(messages, kwargs)
        text = "".join(_until(iter([self.local.write(asked, **settings)]), stop or []))
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
        asked, settings = self._asked(messages, kwargs)
        for piece in _until(self.local.stream(asked, **settings), stop or []):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk

    def _asked(self, messages: list[BaseMessage], given: dict[str, Any]) -> tuple[list[Message], dict[str, Any]]:
        """Messages and settings as the local model takes them."""
        asked = [Message(role=_ROLES.get(m.type, "user"), content=str(m.text)) for m in messages]  # type: ignore[typeddict-item]
        most = given.get("max_tokens")
        return asked, {
            "schema": given.get("schema"),
            "max_tokens": self.max_tokens if most is None else max(int(most), 0),
        }

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Runnable[Any, Any]:
        """Replies as instances of a pydantic model, or as dicts of a JSON schema."""
        typed = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        shape = typed.model_json_schema() if typed else convert_to_json_schema(schema)

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


def _until(pieces: Iterator[str], stop: list[str]) -> Iterator[str]:
    """What is written, up to the first of the texts in `stop`."""
    held, longest = "", max(map(len, stop), default=1) - 1
    for piece in pieces:
        held += piece
        ends = [held.index(text) for text in stop if text in held]
        if ends:
            yield held[: min(ends)]
            return
        if len(held) > longest:
            yield held[: len(held) - longest]
            held = held[len(held) - longest :]
    if held:
        yield held
