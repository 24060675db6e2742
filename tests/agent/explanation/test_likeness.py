"""What titles share: distinctive words, and never what only tells variants of one product apart."""

import pytest

from whimbrel.agent.explanation.likeness import shared_words
from whimbrel.agent.explanation.names import short_name
from whimbrel.tools.text.titles import TITLE_LENGTH


@pytest.mark.parametrize(
    ("title", "other"),
    [
        ("Tasse (rot)", "Schal (rot)"),
        ("Tasse rot", "Schal rot"),
        ("Teller 2er-Set", "Gabel 2er-Set"),
        ("Milk, 500 ml", "Shampoo, 500 ml"),
        ("Heat (1995)", "Casino (1995)"),
        ("T-Shirt, large", "Pizza, large"),
        ("The Man with the Golden Gun", "The Man in the Moon"),
        ("Der große Blonde", "Das große Fressen"),
        ("Candy bags-non chocolate", "Chocolate cake"),
        ("保温杯（500ml）", "洗发水（500ml）"),
        ("Terminator 2", "Toy Story 2"),
    ],
)
def test_variants_sizes_years_and_common_words_are_no_likeness(title: str, other: str) -> None:
    assert shared_words(title, other) == shared_words(other, title) == []


@pytest.mark.parametrize(
    ("title", "other", "shared"),
    [
        ("Tasse (rot)", "Tasse (blau)", ["Tasse"]),
        ("Milka Schokolade 100 g", "Milka Riegel 2er-Set", ["Milka"]),
        ("Star Trek: Generations (1994)", "Star Trek VI (1991)", ["Star Trek"]),
        ("龙井绿茶（500g）", "茉莉绿茶（250g）", ["绿茶"]),
        ("Lindt Excellence Orange Intense", "Intense Nougat, Lindt", ["Lindt", "Intense"]),
    ],
)
def test_a_maker_a_series_or_a_thing_is_named_as_it_stands(title: str, other: str, shared: list[str]) -> None:
    assert shared_words(title, other) == shared


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Crow, The (1994)", "The Crow (1994)"),
        ("Usual Suspects, The", "The Usual Suspects"),
        ("Tasse (blau)", "Tasse (blau)"),
        ("Granola bars, 12 oz", "Granola bars, 12 oz"),
        ("保温杯（500ml）", "保温杯（500ml）"),
        ("(all) aside", "(all) aside"),
    ],
)
def test_a_name_keeps_what_tells_it_from_another(title: str, name: str) -> None:
    assert short_name(title) == name


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    name = short_name("long " * 40)
    assert len(name) <= TITLE_LENGTH
    assert name.endswith("long…")
