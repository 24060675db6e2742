"""What a model wrote becomes an instance of a schema, or is told as a misfit; never an exception."""

import json
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from whimbrel.agent import Agent, Item, ScriptedModel
from whimbrel.agent.language_models.option_scores import OrderReply, order_options, score_options
from whimbrel.agent.language_models.order_parser import parse_order
from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.prompts import Message


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
def test_a_document_within_other_words_is_found_and_counted_as_mended(reply: str) -> None:
    found = parse_reply(reply, Colour, Usage(llm_calls=1))
    assert found.value == Colour(colour="blue")
    assert (found.usage.repairs, found.usage.misfits, found.usage.generations) == (1, 0, 1)


def test_a_reply_that_fits_is_not_mended() -> None:
    assert parse_reply('{"colour": "blue"}', Colour, Usage()).usage == Usage(generations=1)


@pytest.mark.parametrize(
    "reply", ["", "blue", "<think>blue", '{"colour": 7}', "[" * 100_000, '{"a":' * 50_000, "{" * 99]
)
def test_a_reply_without_the_document_is_a_misfit(reply: str) -> None:
    found = parse_reply(reply, Colour, Usage())
    assert found.value is None
    assert found.usage.misfits == 1
    assert found.misfit == reply[:200]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3, 1, 2", [3, 1, 2]),
        ("I would say: \n 3 > 1 > 2.", [3, 1, 2]),
        ("3. FIFA 12\n1. Halo 3\n2. Tetris 99", [3, 1, 2]),
        ("- [3] FIFA 12\n- [1] Halo", [3, 1]),
        ("1. FIFA 12\n2. Halo 3", []),  # counts, names no option
        ("FIFA 12 is best, then Halo 3", []),
        ("", []),
    ],
)
def test_an_order_in_words_is_read_without_guessing(text: str, numbers: list[int]) -> None:
    assert parse_order(text) == numbers


CANDIDATES = [
    Item(item_id=f"i{n}", title=title) for n, title in enumerate(["FIFA 12", "Halo 3", "Tetris", "Doom", "1942"])
]

_numbers = st.lists(
    st.one_of(st.integers(-3, 9), st.floats(), st.text(max_size=4), st.none(), st.booleans(), st.integers()),
    max_size=12,
)
_documents = st.one_of(
    _numbers,
    st.fixed_dictionaries({"order": _numbers}),
    st.dictionaries(st.text(max_size=6), _numbers, max_size=3),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)),
)
_texts = st.one_of(
    st.text(max_size=200),
    st.text(alphabet='{}[]",:0123456789 \n<>/`think.order-', max_size=120),
    _documents.map(json.dumps),
    st.tuples(st.text(max_size=30), _documents.map(json.dumps), st.text(max_size=30)).map("".join),
    st.tuples(_documents.map(json.dumps), st.integers(0, 40)).map(lambda pair: pair[0][: len(pair[0]) - pair[1]]),
    _documents.map(lambda document: f"<think>{json.dumps(document)}</think>```json\n{json.dumps(document)}\n```"),
    st.lists(st.integers(0, 9), max_size=9).map(lambda row: "\n".join(f"{number}. FIFA 12" for number in row)),
)


@settings(max_examples=2000, deadline=None)
@given(_texts)
def test_no_reply_breaks_a_ranking_and_every_repair_is_counted(text: str) -> None:
    model = ScriptedModel({"OrderReply": text}, scores=False)
    ranking = Agent.open(None, model).ranking([Item(item_id="h", title="Pong")], CANDIDATES)
    ids = [entry.candidate.item.item_id for entry in ranking.ranked]
    assert sorted(ids) == sorted(item.item_id for item in CANDIDATES)
    reply = parse_reply(text, OrderReply, Usage())
    usage = ranking.usage
    assert usage.generations == 2
    assert usage.misfits == (2 if reply.value is None else 0)
    if reply.value is not None:
        valid = [number for number in dict.fromkeys(reply.value.order) if 1 <= number <= len(CANDIDATES)]
        wrong, omitted = len(reply.value.order) - len(valid), len(CANDIDATES) - len(valid)
        assert usage.repairs == 2 * (reply.usage.repairs + wrong + omitted)
        assert bool(ranking.warnings) == bool(wrong + omitted)
    else:
        assert ranking.warnings


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(1, 7)), st.integers(1, 4))
def test_a_model_that_knows_what_it_wants_is_followed_whatever_the_order_shown(wanted: list[int], count: int) -> None:
    names = [f"thing {number}" for number in range(1, 7)]

    def by_wish(messages: object) -> dict[str, list[int]]:
        shown = [line for line in str(messages[-1]["content"]).splitlines() if ". thing " in line]  # type: ignore[index]
        numbers = {line.partition(". ")[2]: int(line.partition(". ")[0]) for line in shown}
        return {"order": [numbers[names[number - 1]] for number in wanted]}

    model = ScriptedModel({"OrderReply": by_wish}, scores=False)
    found = order_options(model, history=[], wish="", options=names, permutations=count)
    assert found.values is not None
    assert [int(place) + 1 for place in np.argsort(-found.values, kind="stable")] == wanted
    assert found.usage.repairs == 0


def test_a_model_that_repeats_what_it_is_shown_says_nothing_when_asked_both_ways() -> None:
    model = ScriptedModel({"OrderReply": {"order": [1, 2, 3, 4]}}, scores=False)
    found = order_options(model, history=[], wish="", options=list("abcd"), permutations=2)
    assert found.values is not None
    assert np.ptp(found.values) == 0


def test_an_order_counts_by_how_much_it_stays_the_same_however_options_stand() -> None:
    options = [f"Thing {number}" for number in range(6)]

    def spread(llm: ScriptedModel) -> float:
        figures = score_options(llm, history=["Thing"], wish="", options=options, permutations=2).model_features()
        assert figures is not None
        return float(figures.std())

    def sure(messages: Sequence[Message]) -> dict[str, list[int]]:
        listed = re.findall(r"(\d+)\. (Thing \d)", messages[-1]["content"])
        return {"order": [int(number) for number, _ in sorted(listed, key=lambda pair: pair[1])]}

    assert spread(ScriptedModel({"OrderReply": sure}, scores=False)) == pytest.approx(1)
    assert spread(ScriptedModel({"OrderReply": {"order": [1, 2, 3, 4, 5, 6]}}, scores=False)) == pytest.approx(0)
