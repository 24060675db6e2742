"""Records: what they accept, in which form they hold it, and what a history says of likes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from whimbrel.tools.clean import clean_text
from whimbrel.tools.records import (
    LONGEST_TEXT,
    MOST_TOPICS,
    Event,
    Interaction,
    Item,
    Occurrence,
    clean_identifier,
    identifier,
    liked,
    rejected_ids,
    without_rejected,
)


def event(item_id: str, word: str = "purchase", rating: float | None = None) -> Interaction:
    return Interaction.join("u", Occurrence(0.0, item_id, word, rating), Item(item_id=item_id, title=item_id))


@given(st.text())
def test_a_clean_text_is_one_printable_line_and_stays_the_same(text: str) -> None:
    cleaned = clean_text(text)
    assert isinstance(cleaned, str)
    # Joiners and unassigned characters stay, see `clean_text`.
    assert all(c.isprintable() or unicodedata.category(c) in {"Cf", "Cn"} for c in cleaned)
    assert cleaned == " ".join(cleaned.split())
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7 "])
def test_numbers_and_texts_of_one_id_are_the_same_id(value: object) -> None:
    assert identifier(value) == Event(user_id=value, item_id="i", time=0).user_id == "7"


@pytest.mark.parametrize("value", ["u\u202e1", "\u200bu1", "u1\ufeff", "u1\ufffe", b"u1", "u1\u200d"])
def test_an_id_loses_what_nobody_sees(value: object) -> None:
    assert identifier(value) == Event(user_id=value, item_id="i", time=0).user_id == "u1"


@pytest.mark.parametrize("value", ["u\n1", b"u\n1", "u\x1b[31m1", "u\u20281", "\u200b"])
def test_an_id_that_holds_a_control_character_or_nothing_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        Event(user_id=value, item_id="i", time=0)


def test_names_of_a_situation_are_cleaned_like_its_values() -> None:
    met = Event(user_id="u", item_id="i", time=0, context={"pl\u202eace": "wo\x1b[31mrk"})
    assert met.context == {"place": "work"}


@pytest.mark.parametrize("text", ["\x1b[1;31mred\x1b[0m", "\x1b]0;title\x07red", "\x1b]52;c;AAAA\x1b\\red", "red\x1b"])
def test_an_escape_sequence_leaves_nothing(text: str) -> None:
    assert clean_text(text) == "red"


def test_an_item_without_an_id_has_that_of_its_title_whatever_the_case() -> None:
    assert Item(title="Green Tea").item_id == Item(title="green  tea").item_id != Item(title="Tea").item_id
    assert Item(title=1984).title == "1984"


def test_topics_are_a_list_or_one_text_without_empty_and_repeated_ones() -> None:
    assert Item(title="T", topics="a| b ||a").topics == Item(title="T", topics=["a", "b", "", "a"]).topics == ("a", "b")
    assert len(Item(title="T", topics=[str(number) for number in range(99)]).topics) == MOST_TOPICS
    assert len(Item(title="T", text="x" * 9999).text) == LONGEST_TEXT


@pytest.mark.parametrize(
    "fields",
    [{"title": ""}, {"title": "T", "price": -1}, {"title": "T", "topics": [{}]}, {"title": "T", "colour": "red"}],
)
def test_an_item_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Item.model_validate(fields)


def test_equal_events_have_one_id_and_others_have_another() -> None:
    first = Event(user_id="u", item_id="i", time="2020-01-01", event="Click")
    same = Event(user_id="u", item_id="i", time=1577836800, event="click", context={"place": "work"})
    assert first.event_id == same.event_id != Event(user_id="u", item_id="i", time=1577836801, event="click").event_id


def test_a_rejected_item_loses_its_events_up_to_the_rejection() -> None:
    history = [event("tea"), event("hose"), event("tea", "return"), event("rake", "skip"), event("tea")]
    assert without_rejected(history) == [history[1], history[4]]
    assert rejected_ids(history) == ("rake",)


def test_a_rating_a_standard_deviation_below_the_users_own_mean_is_a_dislike() -> None:
    # the ratings have mean 3.5 and standard deviation 1.06
    history = [event("a", "rating", 5), event("b", "rating", 2), event("c"), event("d", "rating", 3.5)]
    history.append(event("e", "rating", 3.4))
    assert [item.item_id for item in liked(history)] == ["a", "c", "d", "e"]
    assert liked(history[2:3]) == history[2:3]
    assert liked(history[:1] * 3) == history[:1] * 3  # ratings that are all the same


@pytest.mark.parametrize("text", ["\u200c\u00a043", "\u00a0\u200d 7.0 ", " a\u200c ", "\u200c \u200d x"])
def test_a_clean_id_stays_as_it_is(text: str) -> None:
    once = clean_identifier(text)
    assert clean_identifier(once) == once
