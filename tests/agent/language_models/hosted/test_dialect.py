"""What a server refuses is given up one by one, until nothing is left to give up."""

from typing import Any

import pytest
from pydantic import BaseModel

from whimbrel.agent.language_models.hosted.dialect import REASONING_TOKENS, REPLY_FORMATS, Dialect


class Colour(BaseModel):
    colour: str


class RefusalError(Exception):
    """An error of a server, as the client raises it."""

    def __init__(self, message: str = "no", *, param: str = "", status_code: int = 400) -> None:
        super().__init__(message)
        self.param, self.status_code = param, status_code


@pytest.mark.parametrize(
    ("refusal", "change"),
    [
        (RefusalError(param="stream_options"), {"counts_in_streams": False}),
        (RefusalError("unknown field stream_options"), {"counts_in_streams": False}),
        (RefusalError(param="stream"), {"streams": False}),
        (RefusalError(param="max_tokens"), {"reasons": True}),
        (RefusalError(param="temperature"), {"reasons": True}),
        (RefusalError(param="response_format"), {"reply_format": 1}),
        (RefusalError("what?", status_code=500), {"reply_format": 1}),
    ],
)
def test_what_a_server_refuses_is_left_out(refusal: RefusalError, change: dict[str, Any]) -> None:
    assert Dialect().simpler(refusal) == Dialect(**change)


def test_formats_are_given_up_from_the_strictest_to_plain_words() -> None:
    dialect: Dialect | None = Dialect()
    names = []
    while dialect is not None:
        names.append(dialect.format_name)
        dialect = dialect.simpler(RefusalError())
    assert names == [name for name, _ in REPLY_FORMATS]
    assert names[0] == "json_schema"
    assert names[-1] == "words"


def test_an_unknown_model_is_no_reason_to_give_up_a_format() -> None:
    assert Dialect().simpler(RefusalError("no such model", status_code=404)) is None


def test_a_model_that_reasons_has_room_for_its_thoughts_and_no_temperature() -> None:
    plain, reasoning = (Dialect(reasons=reasons).settings(Colour, 10) for reasons in (False, True))
    assert (plain["max_tokens"], plain["temperature"]) == (10, 0.0)
    assert reasoning["max_completion_tokens"] == 10 + REASONING_TOKENS == Dialect(reasons=True).most_tokens(10)
    assert "temperature" not in reasoning
