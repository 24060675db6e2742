"""Click rates: how often an item is chosen when it is shown."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from whimbrel.tools.log.click_rates import PRIOR_SHOWINGS, ClickRates


def test_an_item_shown_often_and_never_chosen_has_a_lower_rate_than_one_not_shown() -> None:
    click_rates = ClickRates.of([(["a", "b", "c"], ["a"])] * 5 + [(["d", "a"], ["x"])])
    rates = dict(zip("abdz", click_rates.rates(list("abdz")), strict=True))
    assert rates["a"] > rates["z"] > rates["d"] > rates["b"]


def test_a_rate_is_drawn_to_the_mean_rate() -> None:
    rates = ClickRates.of([(["a", "b"], ["a"]), (["a"], [])]).rates(["a", "b", "z"])
    mean = 1 / 3
    expected = [(1 + PRIOR_SHOWINGS * mean) / (2 + PRIOR_SHOWINGS), PRIOR_SHOWINGS * mean / (1 + PRIOR_SHOWINGS), mean]
    assert np.exp(rates).tolist() == pytest.approx(expected)
    assert math.exp(rates[0]) > mean  # half of its showings


def test_a_repeated_id_of_one_list_counts_once_and_a_choice_that_was_not_shown_not_at_all() -> None:
    click_rates = ClickRates.of([(["a", "a"], ["a", "a", "x"])])
    assert (click_rates.shown, click_rates.chosen) == ({"a": 1}, {"a": 1})


def test_no_rate_is_known_where_nothing_was_chosen() -> None:
    assert np.isnan(ClickRates().rates(["a"])).all()
    assert np.isnan(ClickRates.of([(["a"], [])]).rates(["a"])).all()


def test_more_choices_than_showings_are_refused() -> None:
    with pytest.raises(ValidationError, match="chosen more often than shown"):
        ClickRates(shown={"a": 1}, chosen={"a": 2})
