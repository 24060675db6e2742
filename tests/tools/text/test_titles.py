"""Titles that a prompt can afford."""

from whimbrel.tools.records import Item
from whimbrel.tools.text.titles import TITLE_LENGTH, short_titles


def test_titles_are_cut_and_stay_in_order() -> None:
    items = [Item(item_id="a", title="x" * 200), Item(item_id="b", title="Tea")]
    assert short_titles(items) == ["x" * TITLE_LENGTH, "Tea"]
