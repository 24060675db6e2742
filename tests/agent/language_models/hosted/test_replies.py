"""Whatever JSON a server sends, reading it gives an answer, an error of the server, or no completion."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from whimbrel.agent.language_models.hosted.replies import Answer, NoCompletionError, read_completion, read_reply
from whimbrel.agent.language_models.hosted.server_errors import ServerError
from whimbrel.agent.language_models.protocol import Usage


class Colour(BaseModel):
    colour: str


NAMES = st.sampled_from(
    [
        *("choices", "delta", "message", "content", "text", "type", "error", "code", "status", "param", "usage"),
        *("finish_reason", "tool_calls", "function", "arguments", "reasoning_content", "refusal", "function_call"),
        *("index", "object", "thinking", "metadata", "raw", "detail", "msg"),
    ]
)
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(['{"a": 1}', "[", "<p>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
MESSAGES = st.dictionaries(NAMES, ANY_JSON, max_size=4)
COMPLETIONS = st.dictionaries(NAMES, ANY_JSON, max_size=3) | st.builds(
    lambda message, kind, fields: {"choices": [{kind: message}]} | fields,
    MESSAGES,
    st.sampled_from(["delta", "message"]),
    st.dictionaries(st.sampled_from(["usage", "error", "id"]), ANY_JSON, max_size=2),
)


@settings(deadline=None)
@given(documents=st.lists(ANY_JSON | COMPLETIONS, max_size=4))
def test_any_chunks_are_read(documents: list[Any]) -> None:
    answer = Answer()
    try:
        for document in documents:
            answer.add(document)
    except ServerError:
        return  # the test of errors below checks its words
    assert isinstance(answer.breaks_off, bool)
    generation = read_reply(answer, Colour, Usage(), most_tokens=9)
    assert (generation.value is None) == bool(generation.misfit)
    assert generation.usage.generations == 1


@settings(deadline=None)
@given(body=st.text(max_size=50) | (ANY_JSON | COMPLETIONS).map(json.dumps))
def test_any_body_is_a_completion_or_not(body: str) -> None:
    with suppress(ServerError, NoCompletionError, json.JSONDecodeError):
        assert read_completion(body).has_reply


@settings(deadline=None)
@given(
    body=ANY_JSON | COMPLETIONS | st.text(), status=st.integers(400, 599) | st.none(), retry_after=st.text(max_size=30)
)
def test_any_error_has_a_status_words_and_advice(body: Any, status: int | None, retry_after: str) -> None:
    error = ServerError(body, status=status, retry_after=retry_after)
    assert 400 <= error.status < 600
    assert error.sentence
    assert error.advice
    assert error.retry_after_seconds >= 0
    assert not (error.is_busy and error.is_too_long)


@pytest.mark.parametrize("depth", [9, 500, 100_000])
def test_a_deep_error_is_read_without_end(depth: int) -> None:
    error = ServerError('{"error": ' * depth + '"deep"' + "}" * depth, status=400)
    assert error.sentence
    nested: Any = "deep"
    for _ in range(min(depth, 500)):
        nested = {"error": nested}
    assert ServerError(nested).advice


def test_what_the_request_said_is_not_taken_for_the_servers_words() -> None:
    body = {"detail": [{"msg": "Field required", "input": {"messages": "no temperature in the context length"}}]}
    error = ServerError(body, status=422)
    assert "temperature" not in error.text
    assert not error.is_too_long
