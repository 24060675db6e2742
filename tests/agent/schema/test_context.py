"""The context of a request: what is read from outside, in whatever state it comes."""

import pytest

from whimbrel.agent.schema.context import as_context

HALF = "\udcff"  # half a character, as Python makes of a byte of a command line that is not UTF-8


def test_texts_are_cleaned_as_those_of_the_log_are() -> None:
    context = as_context({"place": f" at\x1b[31m\nwork{HALF}", "avoid": [f"te{HALF}a", HALF], f"mo{HALF}od": "good"})
    assert context.situation == {"place": "at [31m work", "mood": "good"}
    assert context.avoid == ("tea", "")


def test_ids_lose_only_what_no_file_can_hold() -> None:
    context = as_context({"more": f"a  b\u200d{HALF}", "unavailable": ("x", HALF)})
    assert context.more == ("a  b\u200d",)
    assert context.unavailable == ("x", "")


@pytest.mark.parametrize("given", [{5: "x"}, {"query": 5}, {"avoid": None}, {"place": ["home"]}, {"max_price": "much"}])
def test_a_wrong_value_is_an_error_that_names_its_key(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"context {next(iter(given))!r}"):
        as_context(given)
