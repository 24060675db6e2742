"""A model whose calls observers are told of: what was asked of whom, and what it cost."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePath
from typing import Any

from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, LanguageModel, Likelihoods, T, Usage
from whimbrel.agent.language_models.wrapped_model import WrappedModel
from whimbrel.prompts import Message
from whimbrel.tools.observing import Fact, Observation, content_is_wanted, observed


class ObservedModel(WrappedModel):
    """A model that tells observers of each call (see `tools.observing`).

    Example:
        >>> from whimbrel.agent import ScriptedModel
        >>> ObservedModel(ScriptedModel()).spec
        'scripted'
    """

    def __getattr__(self, name: str) -> Any:
        if name == "model":  # it is not set yet
            raise AttributeError(name)
        return getattr(self.model, name)

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation."""
        replies: list[Generation[T]] = []
        facts = {**_facts(self), "gen_ai.operation.name": "chat", "gen_ai.request.max_tokens": max_tokens}
        # A chat model of LangChain that may tell all tells it itself.
        tells_itself = self.spec.startswith("langchain:") and content_is_wanted()
        run = None if tells_itself else partial(_model_run, conversations=conversations, replies=replies)
        with observed("model", facts, run=run) as told:
            replies += self.model.generate(conversations, schema=schema, max_tokens=max_tokens)
            told.tell(usage_facts(sum((reply.usage for reply in replies), NO_USAGE)))
        return replies

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihoods of continuations."""
        facts = {**_facts(self), "gen_ai.operation.name": "text_completion", "whimbrel.options": len(continuations)}
        with observed("model", facts) as told:
            likelihoods = self.model.log_likelihood(prompt, continuations)
            told.tell(usage_facts(likelihoods.usage))
        return likelihoods


def usage_facts(usage: Usage) -> dict[str, Fact]:
    """Return what calls of a model cost, by the names of OpenTelemetry where it has one. Nothing if none was made."""
    if not (usage.llm_calls or usage.remembered):
        return {}
    return {
        "whimbrel.llm_calls": usage.llm_calls,
        "whimbrel.remembered": usage.remembered,
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "whimbrel.cost_usd": usage.cost_usd,
    }


def model_name(llm: LanguageModel | None) -> str:
    """Return the name of a model. Of a file, the folders are left out, since they may name a person."""
    if llm is None:
        return "none"
    kind, colon, rest = llm.spec.partition(":")
    return f"{kind}:{PurePath(rest).name}" if kind == "gguf" and colon else llm.spec


def _facts(llm: LanguageModel) -> dict[str, Fact]:
    return {"gen_ai.request.model": model_name(llm)}


@contextmanager
def _model_run(
    config: Any,
    name: str,
    told: Observation,
    *,
    conversations: Sequence[Sequence[Message]],
    replies: Sequence[Generation[Any]],
) -> Iterator[None]:
    """Tell LangChain's callbacks of a call of a chat model, a run for each conversation."""
    from langchain_core.messages import AIMessage, convert_to_messages
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import ChatGeneration, LLMResult
    from langchain_core.runnables.config import get_callback_manager_for_config

    is_whole, model = content_is_wanted(), str(told.facts["gen_ai.request.model"])
    asked = [[(m["role"], m["content"] if is_whole else "") for m in messages] for messages in conversations]
    runs = get_callback_manager_for_config(config).on_chat_model_start(
        {"name": model}, [convert_to_messages(messages) for messages in asked], name=f"whimbrel.{name}"
    )
    try:
        yield
    except BaseException as error:
        for run in runs:
            run.on_llm_error(error)
        raise
    for run, reply in zip(runs, replies, strict=True):
        words = reply.value.model_dump_json() if is_whole and reply.value is not None else ""
        read, written = reply.usage.prompt_tokens, reply.usage.completion_tokens
        counts = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
        message = AIMessage(words, usage_metadata=counts, response_metadata={"model_name": model})
        run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]))
