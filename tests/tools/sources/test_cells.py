"""Cells: texts of any container, and the values in texts."""

from datetime import date
from decimal import Decimal

import pytest

from whimbrel.tools.sources.cells import amount, as_text, decimal_mark, flattened, grade, is_absent, listed, unescaped


@pytest.mark.parametrize(
    "text", ["", "  ", "NaN", "nan", "NULL", "None", "N/A", "#N/A", "NA", "<NA>", "-", r"\N", "NaT"]
)
def test_absent_values_have_many_spellings(text: str) -> None:
    assert is_absent(text)


@pytest.mark.parametrize("text", ["0", "Nan Goldin", "Nana", "no", "false", "Null Island"])
def test_other_texts_are_values(text: str) -> None:
    assert not is_absent(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17850.0, "17850"), (2**63, str(2**63)), (Decimal("17850.000"), "17850"), (Decimal("9.90"), "9.9"), (9.9, "9.9"),
        (True, "true"), (date(2014, 1, 7), "2014-01-07"), (float("nan"), None), (None, None), ([], None),
        (["a", 1], '["a", 1]'), (b"\xc3\xa9", "é"), (Decimal("NaN"), None),
    ],
)  # fmt: skip
def test_a_value_has_one_text_in_every_container(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_a_nested_object_becomes_paths() -> None:
    assert flattened({"user": {"id": 7}, "product": {"name": "Tea", "tags": ["a"]}, "empty": {}}) == {
        "user.id": "7", "product.name": "Tea", "product.tags": '["a"]', "empty": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("€ 1.299,00", ".", 1299), ("1 299,00 kr", ".", 1299), ("CHF 1'299.-", ".", 1299), ("$9.90", ".", 9.9), ("9,90", ".", 9.9),
        ("1,299.00", ".", 1299), ("Rs. 450", ".", 450), ("￥1,200", ".", 1200), ("12.50 - 15.00", ".", 12.5), ("1.299", ",", 1299),
        ("1.299", ".", 1.299), ("free", ".", 0), ("12,5 EUR", ".", 12.5), ("1.234.567,89", ".", 1234567.89),
    ],
)  # fmt: skip
def test_amounts_of_any_country_are_read(text: str, mark: str, value: float) -> None:
    assert amount(text, mark) == pytest.approx(value)


@pytest.mark.parametrize("text", ["ask us", "-5", "($5.00)", "", "inf", "nan"])
def test_what_is_no_price_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"amount|price"):
        amount(text)


def test_the_decimal_mark_is_that_of_most_amounts() -> None:
    assert decimal_mark(["9,90", "1.299", "12,00"]) == ","
    assert decimal_mark(["9.90", "1,299"]) == "."


@pytest.mark.parametrize(
    ("text", "value"), [("4/5", 4), ("4,5", 4.5), ("★★★☆☆", 3), ("True", 1), ("no", 0), ("4.0 out of 5", 4)]
)
def test_ratings_of_many_forms_are_read(text: str, value: float) -> None:
    assert grade(text) == value


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("['Tea', 'Herbs']", ["Tea", "Herbs"]), ('["Tea"]', ["Tea"]), ("['Tea' 'Herbs']", ["Tea", "Herbs"]), ("Tea|Herbs", ["Tea", "Herbs"]),
        ('[{"id": 1, "name": "Tea"}]', ["Tea"]), ("Tea, Herbs", None), ("[unclosed", None), ("__import__('os').getcwd()", None),
    ],
)  # fmt: skip
def test_lists_in_texts_are_read_and_no_code_is_run(text: str, parts: list[str] | None) -> None:
    assert listed(text) == parts


def test_entities_are_unescaped_also_those_that_were_escaped_twice() -> None:
    assert unescaped("Tom &amp;amp; Jerry &#39;s") == "Tom & Jerry 's"
    assert unescaped("&#" + "9" * 5000 + ";").startswith("&#")
