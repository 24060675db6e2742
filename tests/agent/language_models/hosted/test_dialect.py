"""What a server refuses is given up one by one, until nothing is left to give up."""

from typing import Any

import pytest
from pydantic import BaseModel

from whimbrel.agent.language_models.hosted.dialect import (
    MAX_REASONING_TOKENS,
    REASONING_TOKENS,
    REPLY_FORMATS,
    Dialect,
)
from whimbrel.agent.language_models.hosted.server_errors import ServerError
from whimbrel.prompts import Message


class Colour(BaseModel):
    colour: str


THINKING = {"temperature": False, "thought_tokens": REASONING_TOKENS}


def refusal(message: str = "no", *, param: str = "", status: int = 400) -> ServerError:
    return ServerError({"error": {"message": message, "param": param}}, status=status)


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (refusal(param="stream_options"), {"counts_in_streams": False}),
        (refusal("unknown field stream_options"), {"counts_in_streams": False}),
        (refusal(param="stream"), {"streams": False}),
        (refusal("streaming is not supported"), {"streams": False}),
        (refusal(param="max_tokens"), THINKING | {"limit_name": "max_completion_tokens"}),
        (
            refusal("Use 'max_completion_tokens' instead of 'max_tokens'"),
            THINKING | {"limit_name": "max_completion_tokens"},
        ),
        (refusal(param="temperature"), THINKING),
        (refusal("temperature must be 1"), THINKING),
        (refusal(param="response_format"), {"reply_format": 1}),
        (refusal("response_format is unknown; known are max_tokens, temperature, stream"), {"reply_format": 1}),
        (refusal("json_schema is unknown", param="response_format.type"), {"reply_format": 1}),
        (refusal("Invalid role: system"), {"system_role": False}),
        (refusal("Conversation roles must alternate user/assistant"), {"system_role": False}),
        (refusal("what?", status=500), {"reply_format": 1}),
        (refusal("no endpoint supports tools", status=404), {"reply_format": 1}),
        (refusal("the upstream failed"), {"reply_format": 1}),
    ],
)
def test_what_a_server_refuses_is_left_out(error: ServerError, change: dict[str, Any]) -> None:
    assert Dialect().simpler(error) == Dialect(**change)


def test_a_server_that_takes_no_limit_gets_none() -> None:
    dialect: Dialect | None = Dialect()
    names = []
    for name in ("max_tokens", "max_completion_tokens"):
        assert dialect is not None
        names.append(dialect.limit_name)
        dialect = dialect.simpler(refusal(f"unknown field {name}"))
    assert names == ["max_tokens", "max_completion_tokens"]
    assert dialect is not None
    assert not {"max_tokens", "max_completion_tokens"} & set(dialect.settings(Colour, 9))


def test_without_system_messages_their_text_begins_the_next_message() -> None:
    messages: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Which?"}]
    assert Dialect().messages(messages) == messages
    assert Dialect(system_role=False).messages(messages) == [{"role": "user", "content": "Be brief.\n\nWhich?"}]


def test_room_for_thoughts_grows_once_and_shrinks_to_nothing() -> None:
    large = Dialect().with_more_room()
    assert large is not None
    assert large.most_tokens(10) == 10 + MAX_REASONING_TOKENS
    assert large.with_more_room() is None
    small = large.with_less_room()
    assert small == Dialect(thought_tokens=REASONING_TOKENS)
    assert small.with_less_room() == Dialect()
    assert Dialect().with_less_room() is None


def test_formats_are_given_up_from_the_strictest_to_plain_words() -> None:
    dialect: Dialect | None = Dialect()
    names = []
    while dialect is not None:
        names.append(dialect.format_name)
        dialect = dialect.simpler(refusal())
    assert names == [name for name, _ in REPLY_FORMATS]
    assert names[0] == "json_schema"
    assert names[-1] == "words"


def test_an_unknown_model_is_no_reason_to_give_up_a_format() -> None:
    assert Dialect().simpler(refusal("no such model", status=404)) is None


def test_a_model_that_reasons_has_room_for_its_thoughts_and_no_temperature() -> None:
    plain = Dialect().settings(Colour, 10)
    dialect = Dialect().simpler(refusal(param="max_tokens"))
    assert dialect is not None
    reasoning = dialect.settings(Colour, 10)
    assert (plain["max_tokens"], plain["temperature"]) == (10, 0.0)
    assert reasoning["max_completion_tokens"] == 10 + REASONING_TOKENS == dialect.most_tokens(10)
    assert "temperature" not in reasoning
