"""Personal data in texts: what is found, what is left alone, and how it is put back."""

import importlib.util

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whimbrel.tools.privacy.find import personal_data
from whimbrel.tools.privacy.masked import Placeholders


def kinds(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in personal_data(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to anna.s+shop@example.co.uk now", [("EMAIL", "anna.s+shop@example.co.uk")]),
        ("call +49 30 12345678", [("PHONE", "+49 30 12345678")]),
        ("call (212) 555-0187 or 0171 2345678", [("PHONE", "(212) 555-0187"), ("PHONE", "0171 2345678")]),
        ("to DE89 3704 0044 0532 0130 00 please", [("IBAN", "DE89 3704 0044 0532 0130 00")]),
        ("to gb29nwbk60161331926819", [("IBAN", "gb29nwbk60161331926819")]),
        ("with 4111 1111 1111 1111", [("CARD", "4111 1111 1111 1111")]),
        ("at 12 Baker Street, London NW1 6XE", [("ADDRESS", "12 Baker Street, London NW1 6XE")]),
        (
            "at 742 Evergreen Terrace, Springfield, IL 62704",
            [("ADDRESS", "742 Evergreen Terrace, Springfield, IL 62704")],
        ),
        ("wohne Hauptstraße 5, 10115 Berlin", [("ADDRESS", "Hauptstraße 5, 10115 Berlin")]),
        ("10 rue de la Paix, 75002 Paris", [("ADDRESS", "10 rue de la Paix, 75002 Paris")]),
        ("送到中山路12号", [("ADDRESS", "中山路12号")]),
        ("a mug for Anna Schmidt", [("PERSON", "Anna Schmidt")]),
        ("for my wife anna, who reads", [("PERSON", "anna")]),
        ("my name is Xenia Quill", [("PERSON", "Xenia Quill")]),
        ("Dear Mrs van der Berg", [("PERSON", "van der Berg")]),
        ("Herr Krause wants tea", [("PERSON", "Krause")]),
        ("我叫王小明，想买茶", [("PERSON", "王小明")]),
        ("my customer number is AB-99213", [("NUMBER", "AB-99213")]),
        ("from 192.168.10.4", [("NETWORK", "192.168.10.4")]),
    ],
)
def test_what_belongs_to_a_person_is_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "12 Angry Men (1957); 2001: A Space Odyssey; Apollo 13; U2 1987 1991",
        "Thu 3 August 2017, 07:40: chose 'Thing 45'; chosen by 4500; 3000 of them also chose",
        "2017-06-01T18:00:00Z, 99.50 USD, 1080p, 4000 mAh, 10-pack 2 x 4 x 8 14.99",
        "ISBN 978-3-16-148410-0; 1. 12345678 2. 23456789",
        "a film for children, not too long, like the one with the tiger",
        "5. Green tea; 6. Rye bread; 7. Milk 2% 1.5 l",
        "version 1.2.3.4567 of the player; score 4,111,111",
    ],
)
def test_what_belongs_to_nobody_stays(text: str) -> None:
    assert kinds(text) == []


def test_a_public_name_stays_and_a_public_number_does_not() -> None:
    text = "Being John Malkovich, for John Malkovich, john@example.org"
    spans = personal_data(text, is_public=lambda words: True)
    assert [span.kind for span in spans] == ["EMAIL"]


def test_a_name_that_was_introduced_once_is_masked_everywhere() -> None:
    places = Placeholders()
    assert places.mask("my name is Xenia Quill") == "my name is PERSON_1"
    assert places.mask("Xenia Quill likes tea; Xenia Quillfeather too") == "PERSON_1 likes tea; Xenia Quillfeather too"
    assert places.restore({"a": ["PERSON_1", "PERSON_11"]}) == {"a": ["Xenia Quill", "PERSON_11"]}


@given(
    st.text(), st.sampled_from(["a@example.org", "+49 30 12345678", "Anna Schmidt", "4111 1111 1111 1111"]), st.text()
)
@example("", "Anna Schmidt", "Aa0")
@example("PERSON_1", "Anna Schmidt", "PERSON_2")
@example("中", "a@example.org", "0PERSON_1")
def test_what_is_masked_is_put_back(before: str, data: str, after: str) -> None:
    places = Placeholders()
    text = f"{before} for {data} {after}"
    assert places.restore(places.mask(text)) == text


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("presidio_analyzer", "en_core_web_sm")),
    reason="Presidio and a model of spaCy are not installed: pip install 'whimbrel[privacy]', spacy download en_core_web_sm",
)
def test_presidio_finds_names_that_no_list_holds() -> None:
    assert ("PERSON", "Xaviera Quillfeather") in kinds("The parcel belongs to Xaviera Quillfeather.")
