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
    ("reply", "misfit"),
    [
        ("", "the model wrote an empty reply"),
        (" \n", "the model wrote an empty reply"),
        ("blue", "the model wrote no JSON document: 'blue'"),
        ('{"colour": "\udcff', "the model wrote no JSON document: "),
        ("<think>blue", "the model wrote thoughts and no reply: '<think>blue'"),
        (
            '{"colour": 7}',
            "the model's JSON document does not fit (colour: Input should be a valid string): '{\"colour",
        ),
        ('{"colour": ', "the model's JSON document does not fit (colour: Field required): '{\"colour\": '"),
        ('["blue", 7]', "the model wrote a list instead of an object: '[\"blue\", 7]'"),
        ("and blue " * 99, "the model repeated the same words without end: 'and blue and"),
        ('{"a": [' + "1, " * 999, 'the model repeated the same words without end: \'{"a": [1, 1,'),
        ("[" * 100_000, "the model repeated the same words without end: '[["),
        ('{"a":' * 50_000, 'the model repeated the same words without end: \'{"a":'),
        ("{" * 99, "the model wrote no JSON document: '{{{"),
    ],
)
def test_a_reply_without_the_document_is_a_misfit_with_its_reason(reply: str, misfit: str) -> None:
    generation = parse_reply(reply, Colour, Usage())
    assert generation.value is None
    assert generation.usage == Usage(generations=1, misfits=1)
    assert generation.misfit.startswith(misfit)
    assert len(generation.misfit) < 300
