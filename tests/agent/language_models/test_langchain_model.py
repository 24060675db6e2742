"""Chat models of LangChain as language models."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
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
    assert answer.usage.stages["rank"].llm_calls == 2
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


def test_a_budget_is_not_taken_for_a_model_that_cannot_keep_it() -> None:
    with pytest.raises(ConfigError, match="a budget is kept for models named by a spec"):
        Agent.open(None, GenericFakeChatModel(messages=iter([])), budget=Budget(tokens=1))
