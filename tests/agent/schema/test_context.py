"""The context of a request: what is read from outside, in whatever state it comes."""

import pytest

from whimbrel.agent.schema.context import MOST_REFUSALS, as_context
from whimbrel.agent.schema.wishes_and_refusals import LONGEST_WISH

HALF = "\udcff"  # half a character, as Python makes of a byte of a command line that is not UTF-8


def test_texts_are_cleaned_as_those_of_the_log_are() -> None:
    context = as_context({"place": f" at\x1b[31m\nwork{HALF}", "avoid": [f"te{HALF}a", HALF], f"mo{HALF}od": "good"})
    assert context.situation == {"place": "at work", "mood": "good"}
    assert context.avoid == ("tea", "")


def test_ids_have_the_form_of_those_in_the_log() -> None:
    context = as_context({"more": f"a  \u202eb\u200d{HALF}", "unavailable": ("7.0", HALF)})
    assert context.more == ("a  b",)
    assert context.unavailable == ("7", "")


def test_refusals_have_a_bound() -> None:
    with pytest.raises(ValueError, match=f"context 'avoid': .*at most {MOST_REFUSALS}"):
        as_context({"avoid": [f"word {number}" for number in range(MOST_REFUSALS + 1)]})
    context = as_context({"avoid": [f"{number} {'x' * 9999}" for number in range(MOST_REFUSALS)]})
    assert {len(words) for words in context.avoid} == {LONGEST_WISH}
    assert context.wanting("no tea").avoid[-1] == "tea"
    assert len(context.wanting("no tea").avoid) == MOST_REFUSALS


@pytest.mark.parametrize("given", [{5: "x"}, {"query": 5}, {"avoid": None}, {"place": ["home"]}, {"max_price": "much"}])
def test_a_wrong_value_is_an_error_that_names_its_key(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"context {next(iter(given))!r}"):
        as_context(given)


def test_an_id_that_holds_a_control_character_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"context: .*control character"):
        as_context({"more": ["a\x8at"]})
