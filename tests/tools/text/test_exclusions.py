"""Refusals: whole words in any number, else topics of nearly the same meaning."""

import pytest

from whimbrel.tools.records import Item
from whimbrel.tools.text.exclusions import Refusal
from whimbrel.tools.text.minilm import ENGLISH

TOPICS = ["Beer", "Wine", "Garden tools"]


@pytest.mark.parametrize(
    ("word", "title", "covered"),
    [
        ("snacks", "A snack for two", True),
        ("snack", "Snacks", True),
        ("berry", "Wild berries", True),
        ("berries", "One berry", True),
        ("glass", "A glas", False),
        ("rum", "A drum", False),
        ("ROSE", "rose seeds", True),
        ("啤酒", "冰啤酒一箱", True),
    ],
)
def test_a_word_refuses_titles_and_topics_that_hold_it_in_singular_or_plural(
    word: str, title: str, covered: bool
) -> None:
    refusal = Refusal.of([word], {}, ENGLISH)
    assert refusal.covers(Item(title=title)) is covered
    assert refusal.covers(Item(title="x", topics=[title])) is covered
    assert refusal.covers_topic(title) is covered


def test_a_word_that_no_topic_holds_refuses_topics_of_nearly_the_same_meaning() -> None:
    vectors = dict(zip(TOPICS, ENGLISH.encode(TOPICS), strict=True))
    refusal = Refusal.of(["alcoholic drinks"], vectors, ENGLISH)
    assert refusal.covers(Item(title="Weissbier", topics=["Beer"]))
    assert not refusal.covers(Item(title="Spade", topics=["Garden tools"]))
    assert not Refusal.of(["beers"], vectors, ENGLISH).topics


def test_blank_words_refuse_nothing() -> None:
    assert not Refusal.of(["", "  "], {}, ENGLISH).covers(Item(title="x"))
