"""What a model wrote becomes an instance of a schema, or is counted as a misfit; never an exception."""

import pytest
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import Usage


class Colour(BaseModel):
    colour: str = Field(min_length=3, max_length=12)


@pytest.mark.parametrize(
    "reply",
    [
        'Sure! Here it is:\n```json\n{"colour": "blue"}\n```\nAnything else?',
        '```\n{"colour": "blue"}',
        '<think>Perhaps {"colour": "red"}? No.</think>\n{"colour": "blue"}',
        'no opening</think>{"colour": "blue"}',
        'First I thought {"colour": "red"}, but it is {"colour": "blue"}.',
        '{"answer": {"colour": "blue"}}',
        '{"colour": "blue',
        '{"colour": "blue", "why": "because [of {the',
        '["not this"] {"colour": "blue"}',
    ],
)
def test_a_document_within_other_words_is_parsed_and_counted_as_repaired(reply: str) -> None:
    generation = parse_reply(reply, Colour, Usage(llm_calls=1))
    assert generation.value == Colour(colour="blue")
    assert (generation.usage.repairs, generation.usage.misfits, generation.usage.generations) == (1, 0, 1)


def test_a_reply_that_fits_is_not_repaired() -> None:
    assert parse_reply('{"colour": "blue"}', Colour, Usage()).usage == Usage(generations=1)


@pytest.mark.parametrize(
    "reply", ["", "blue", "<think>blue", '{"colour": 7}', "[" * 100_000, '{"a":' * 50_000, "{" * 99]
)
def test_a_reply_without_the_document_is_a_misfit(reply: str) -> None:
    generation = parse_reply(reply, Colour, Usage())
    assert generation.value is None
    assert generation.usage.misfits == 1
    assert generation.misfit == reply[:200]
