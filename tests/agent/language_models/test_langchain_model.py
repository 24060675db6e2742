"""Chat models of LangChain as language models."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel, Field

from whimbrel.agent import Agent, Budget, ConfigError, LangChainModel, ModelError
from whimbrel.prompts import Message

ASKED: list[Message] = [
    {"role": "system", "content": 'Answer as JSON: {"colour": "..."}'},
    {"role": "user", "content": "What colour is the sky?", "fixed": False},
]


class Colour(BaseModel):
    colour: str = Field(min_length=3, max_length=12)


class Structured(GenericFakeChatModel):
    """Answers with the arguments of a tool, as most hosted models do."""

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        assert include_raw
        call = {"name": schema.__name__, "args": {"colour": "blue"}, "id": "1"}
        usage = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13, "input_token_details": {"cache_read": 5}}
        raw = AIMessage(content="", tool_calls=[call], usage_metadata=usage)  # type: ignore[arg-type, list-item]
        return RunnableLambda(lambda _: {"raw": raw, "parsed": None, "parsing_error": None})


def test_a_model_without_structured_output_is_asked_in_words() -> None:
    model = LangChainModel(GenericFakeChatModel(messages=iter([AIMessage('It is:\n```json\n{"colour": "blue"}\n```')])))
    (reply,) = model.generate([ASKED], schema=Colour, max_tokens=9)
    assert reply.value == Colour(colour="blue")
    assert reply.usage.repairs == 1
    assert reply.usage.prompt_tokens > 8  # estimated, since the model does not count
    with pytest.raises(ModelError, match="gives no likelihoods"):
        model.log_likelihood("a", ["b"])


def test_arguments_of_a_tool_are_the_reply_and_tokens_those_that_the_model_counted() -> None:
    model = LangChainModel(Structured(messages=iter([])))
    first, second = model.generate([ASKED, ASKED], schema=Colour, max_tokens=9)
    assert first.value == second.value == Colour(colour="blue")
    assert (first.usage.prompt_tokens, first.usage.cached_tokens, first.usage.completion_tokens) == (9, 5, 4)


def test_a_chat_model_that_fails_is_an_error_with_its_name() -> None:
    with pytest.raises(ModelError, match="langchain:generic-fake-chat-model' failed"):
        LangChainModel(GenericFakeChatModel(messages=iter([]))).generate([ASKED], schema=Colour, max_tokens=9)


def test_an_agent_takes_a_chat_model_as_it_is(shop: Path) -> None:
    words = AIMessage('{"summary": "Lately mostly Tea."} or {"order": [2, 1]}')
    with Agent.open(shop, GenericFakeChatModel(messages=iter([words] * 40))) as agent:
        answer = agent.recommend("u1", k=3)
    assert len(answer.recommendations) == 3
    assert answer.usage.llm_calls > 0
    assert answer.usage.repairs > 0


class Odd(GenericFakeChatModel):
    """Tells tokens that are no numbers, and gives structured output as it likes."""

    structured: Any = None

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        return RunnableLambda(lambda _: self.structured)


@pytest.mark.parametrize(
    "structured",
    [
        Colour(colour="blue"),
        {"raw": None, "parsed": None},
        {"raw": AIMessage('{"colour": "blue"}'), "parsed": None},
        {"colour": "blue"},
        None,
        7,
    ],
)
def test_no_answer_of_a_chat_model_breaks_a_request(structured: Any) -> None:
    (reply,) = LangChainModel(Odd(messages=iter([]), structured=structured)).generate(
        [ASKED], schema=Colour, max_tokens=9
    )
    assert reply.value in (None, Colour(colour="blue"))
    assert reply.usage.prompt_tokens > 0


@pytest.mark.parametrize(
    ("message", "misfit"),
    [
        (AIMessage("", additional_kwargs={"refusal": "I cannot."}), "the model refused to reply: 'I cannot.'"),
        (AIMessage("", response_metadata={"finish_reason": "content_filter"}), "content filter held the reply back"),
        (AIMessage("", response_metadata={"finish_reason": "length"}), "probably since thoughts took them all"),
        (AIMessage("blue"), "the model wrote no JSON document: 'blue'"),
    ],
)
def test_a_chat_model_without_a_reply_says_why(message: AIMessage, misfit: str) -> None:
    (reply,) = LangChainModel(GenericFakeChatModel(messages=iter([message]))).generate(
        [ASKED], schema=Colour, max_tokens=9
    )
    assert reply.value is None
    assert misfit in reply.misfit


def test_a_budget_is_not_taken_for_a_model_that_cannot_keep_it() -> None:
    with pytest.raises(ConfigError, match="a budget is kept for models named by a spec"):
        Agent.open(None, GenericFakeChatModel(messages=iter([])), budget=Budget(tokens=1))


class ProviderError(Exception):
    """An error of a provider's own class."""


class Failing(GenericFakeChatModel):
    """Fails for structured output, for some words of a prompt, or both."""

    refusal: Any = None
    fails_for: str = "\0"
    when_called: bool = True

    def with_structured_output(self, schema: Any, *, include_raw: bool = False, **kwargs: Any) -> Any:
        def refuse(_: Any) -> Any:
            raise self.refusal

        if not self.when_called:
            refuse(None)
        return RunnableLambda(refuse)

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        if self.fails_for in str(messages[-1].content):
            raise ProviderError("rate limit reached")
        return ChatResult(generations=[ChatGeneration(message=AIMessage('{"colour": "blue"}'))])


@pytest.mark.parametrize("when_called", [True, False])
@pytest.mark.parametrize(
    "refusal",
    [
        NotImplementedError(),
        AttributeError("bind_tools"),
        ProviderError("registry/m does not support tools (status code: 400)"),
        ProviderError("Invalid parameter: 'response_format' of type 'json_schema' is not supported"),
        ProviderError("This model does not support function calling"),
    ],
)
def test_structured_output_that_is_refused_in_any_way_is_replaced_by_words(refusal: Any, when_called: bool) -> None:
    model = LangChainModel(Failing(messages=iter([]), refusal=refusal, when_called=when_called))
    replies = model.generate([ASKED, ASKED], schema=Colour, max_tokens=9)
    assert [reply.value for reply in replies] == [Colour(colour="blue")] * 2


def test_an_error_that_has_other_reasons_is_not_taken_for_missing_tools() -> None:
    model = LangChainModel(Failing(messages=iter([]), refusal=ProviderError("rate limit reached")))
    with pytest.raises(ModelError, match=r"failed \(ProviderError: rate limit reached\): try again"):
        model.generate([ASKED], schema=Colour, max_tokens=9)


def test_a_conversation_that_fails_does_not_lose_the_others() -> None:
    model = LangChainModel(Failing(messages=iter([]), refusal=NotImplementedError(), fails_for="grass"))
    about_grass: list[Message] = [{"role": "user", "content": "What colour is grass?"}]
    sky, grass = model.generate([ASKED, about_grass], schema=Colour, max_tokens=9)
    assert sky.value == Colour(colour="blue")
    assert grass.value is None
    assert "failed (ProviderError: rate limit reached)" in grass.misfit
    with pytest.raises(ModelError, match="rate limit"):
        model.generate([about_grass], schema=Colour, max_tokens=9)
    assert model.generate([], schema=Colour, max_tokens=9) == []
