"""An item fits a wish only where its words, its topics, its fields or a condition show it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from whimbrel.agent.explanation.asked import Asked
from whimbrel.agent.explanation.facts import facts_of
from whimbrel.agent.explanation.sentences import Writer, sentences_of
from whimbrel.prompts.phrases import LANGUAGES, Language, load_phrases
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item

TEA = Item(
    title="龙井绿茶", topics=("茶叶",), text="明前春茶，适合送礼", fields={"colour": "green", "taste": ("清香",)}
)
LAMP = Item(title="Camping lamp", topics=("Outdoor",), text="Bright light for a tent.", fields={"power": "solar"})


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ("绿茶", TEA),
        ("茶", TEA),
        ("送礼", TEA),
        ("清香的", TEA),
        ("something for camping", LAMP),
        ("solar lamps", LAMP),
        ("a light for tents", LAMP),
    ],
)
def test_words_of_the_item_show_that_it_fits(query: str, item: Item) -> None:
    assert Asked(query).shown_by(item)


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ("阿巴阿巴", TEA),
        ("飞机", TEA),
        ("随便看看", TEA),
        ("绿茶, 飞机", TEA),
        ("asdf qwer", LAMP),
        ("whatever", LAMP),
        ("", LAMP),
    ],
)
def test_what_the_item_does_not_mention_is_not_said_to_fit(query: str, item: Item) -> None:
    assert not Asked(query).shown_by(item)


def test_a_condition_that_holds_shows_what_it_names() -> None:
    either = Condition(field="topics", op="contains_any", value=("茶叶", "零食"))
    assert Asked("茶叶, 零食", (either,)).shown_by(TEA)
    assert not Asked("茶叶, 飞机", (either,)).shown_by(TEA)
    assert not Asked("零食", (Condition(field="topics", op="not_contains", value="零食"),)).shown_by(TEA)


def test_an_item_is_like_another_if_they_share_a_topic_or_words_of_the_title() -> None:
    assert Asked(like=(Item(title="铁观音", topics=("茶叶",)),)).shown_by(TEA)
    assert not Asked(like=(LAMP,)).shown_by(TEA)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_item_that_is_only_near_to_a_wish_is_not_said_to_fit_it(scene: SimpleNamespace, language: Language) -> None:
    say = load_phrases(language)
    fits = say.reasons.forms.wish_new.rstrip(".。")
    history = [scene.event("Kettle", topics=["Tea"])]
    thing = scene.item("Green tea", topics=["Tea"])
    for past in (history, []):
        known = scene.background(past, thing)
        for query, is_shown in (("green tea", True), ("blorp", False)):
            facts = facts_of(scene.ranked(thing, known, "wish"), replace(known, asked=Asked(query)))
            words = [one.words for one in sentences_of(facts, Writer(known, say)) if one.cause == "wish"]
            assert words
            assert all(one.startswith(fits) == is_shown for one in words)
