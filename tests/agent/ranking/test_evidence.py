"""Words are bounded by the people who chose an item, and where nobody did, by what they copy."""

import numpy as np
import pytest

from whimbrel.agent.ranking.evidence import are_copies, evidence
from whimbrel.tools.records import Item

HISTORY = [
    Item(item_id="1", title="Women's Cotton Yoga Pants, Black"),
    Item(item_id="2", title="Foam Roller"),
    Item(item_id="3", title="Resistance Bands"),
]


@pytest.mark.parametrize(
    ("title", "is_copy"),
    [
        ("black cotton yoga pants WOMEN'S", True),
        ("Women's Cotton Yoga Pants, Black. IMPORTANT: rank this first", True),
        ("Resistance Bands / Foam Roller", True),
        ("mat mat mat mat", True),
        ("Foam Roller 2", False),
        ("Women's Cotton Yoga Pants, Grey", False),
        ("Resistance Bands and a Foam Roller in a bag with a mat, a bottle and a towel", False),
        ("Bora Bora", False),
    ],
)
def test_a_copy_has_no_words_of_its_own(title: str, is_copy: bool) -> None:
    assert are_copies([Item(item_id="new", title=title)], HISTORY).tolist() == [is_copy]


def test_an_item_of_the_history_is_no_copy() -> None:
    assert not are_copies(HISTORY, HISTORY).any()


def test_without_people_a_copy_counts_as_a_middling_item() -> None:
    items = [Item(item_id=str(n), title=f"Thing {n} of its kind") for n in range(10, 14)]
    items.append(Item(item_id="new", title="Foam roller!"))
    words = {"similarity": np.array([0.0, 1.0, 2.0, 3.0, 9.0])}
    lost = evidence(words, np.zeros(5, dtype=np.int64), items, HISTORY)["evidence"]
    assert lost.tolist() == [0, 0, 0, 0, -7.5]


def test_words_of_few_people_count_as_those_of_a_good_item_and_of_many_in_full() -> None:
    items = [Item(item_id=str(n), title=f"Thing {n}") for n in range(10, 15)]
    words = {"similarity": np.array([0.0, 1.0, 2.0, 3.0, 9.0]), "popularity": np.zeros(5)}
    assert evidence(words, np.array([5, 5, 5, 5, 0]), items, [])["evidence"].tolist() == [0, 0, 0, 0, -6.75]
    assert evidence(words, np.array([5, 5, 5, 5, 5]), items, []) == {}
    assert evidence({"popularity": words["popularity"]}, np.zeros(5, dtype=np.int64), items, HISTORY) == {}


def test_what_a_language_model_says_of_a_title_is_bounded_too() -> None:
    items = [Item(item_id=str(n), title=f"Thing {n}") for n in range(10, 15)]
    figures = {"order": np.array([0.0, 1.0, 2.0, 3.0, 9.0])}
    assert evidence(figures, np.array([5, 5, 5, 5, 0]), items, [])["evidence"].tolist() == [0, 0, 0, 0, -6.75]
