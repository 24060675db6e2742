"""Typed fields of items, and conditions on them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from whimbrel.tools.conditions import Condition
from whimbrel.tools.fields import FieldValue, typed
from whimbrel.tools.records import Item


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("198", 198.0),
        (" 7.5 ", 7.5),
        ("007", 7.0),
        (3, 3.0),
        ("true", True),
        ("No", False),
        (False, False),
        ("Drama|Comedy", ("Drama", "Comedy")),
        (["Drama", "Drama", ""], ("Drama",)),
        ([], ()),
        ("2025-12-17", "2025-12-17"),
        ("PG-13", "PG-13"),
        ("", None),
        (None, None),
        (float("nan"), None),
        ("1e999", "1e999"),
        ("Anna\u200b \n Lee", "Anna Lee"),
    ],
)
def test_a_cell_becomes_a_number_a_flag_a_list_or_a_text(cell: object, value: FieldValue | None) -> None:
    assert typed(cell) == value
    assert type(typed(cell)) is type(value)


def test_a_nested_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="text or a list"):
        Item(title="Up", fields={"cast": {"name": "x"}})


def test_the_fields_of_an_item_survive_its_text() -> None:
    item = Item(title="Up", fields={"runtime": "96", "genres": ["Family", "Comedy"], "out": True, "on": None})
    assert item.fields == {"runtime": 96.0, "genres": ("Family", "Comedy"), "out": True}
    assert Item.model_validate_json(item.model_dump_json(exclude_defaults=True)) == item


FILM = Item(
    title="Up (2009)",
    topics="Family|Comedy",
    price=9.99,
    fields={"runtime": 96, "released": "2009-05-29", "rated": "PG", "on": ["Hulu"], "new": False},
)


@pytest.mark.parametrize(
    ("field", "op", "value", "holds"),
    [
        ("runtime", "<=", 96, True),
        ("runtime", "<", 96, False),
        ("runtime", ">=", "97", False),
        ("price", "<=", 10, True),
        ("runtime", "<=", "long", False),
        ("released", ">=", "2009", True),
        ("released", "<=", 2009, True),
        ("released", "<", "2009-05", False),
        ("released", ">", 2009, False),
        ("rated", "==", "pg", True),
        ("rated", "!=", "PG", False),
        ("rated", "in", ["G", "PG"], True),
        ("rated", "not_in", ["G", "PG"], False),
        ("runtime", "in", [96, 100], True),
        ("topics", "contains", "comedy", True),
        ("topics", "not_contains", "Comedy", False),
        ("topics", "contains", "Com", False),
        ("topics", "==", "Family", True),
        ("topics", "<", 3, False),
        ("on", "contains_any", ["Netflix", "HULU"], True),
        ("on", "contains_any", ["Netflix"], False),
        ("title", "contains", "up", True),
        ("new", "==", False, True),
        ("new", "==", "true", False),
        ("new", "<=", 3, False),
        ("unknown", "==", "x", False),
        ("unknown", "!=", "x", True),
        ("unknown", "not_in", ["x"], True),
        ("unknown", "not_contains", "x", True),
        ("unknown", "<=", 3, False),
    ],
)
def test_conditions_hold_as_written(field: str, op: Any, value: Any, holds: bool) -> None:
    assert Condition(field=field, op=op, value=value).holds(FILM) is holds


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "price", "op": "<=", "value": [1]},
        {"field": "price", "op": "in", "value": 1},
        {"field": "price", "op": "~", "value": 1},
        {"field": "", "op": "==", "value": 1},
        {"field": "price", "op": "==", "value": None},
        {"field": "price", "op": "==", "value": {}},
    ],
)
def test_a_condition_that_means_nothing_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition.model_validate(condition)


VALUES = st.one_of(st.booleans(), st.floats(allow_nan=False), st.text(), st.lists(st.text(), max_size=3), st.none())


@given(VALUES, VALUES.filter(lambda value: value is not None))
def test_a_negation_is_the_opposite(value: Any, bound: Any) -> None:
    for op, negation in (("==", "!="), ("in", "not_in"), ("contains", "not_contains")):
        try:
            condition = Condition(field="x", op=op, value=bound)  # type: ignore[arg-type]
        except ValidationError:
            continue
        opposite = Condition(field="x", op=negation, value=bound)  # type: ignore[arg-type]
        assert condition.admits(typed(value)) is not opposite.admits(typed(value))


@pytest.mark.parametrize("op", [["in"], {"a": 1}, None, 3])
def test_an_operator_that_is_no_word_is_refused(op: object) -> None:
    with pytest.raises(ValidationError, match="op"):
        Condition.model_validate({"field": "runtime", "op": op, "value": "3"})
