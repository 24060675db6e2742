"""The Complete Journey: readable titles, prices of the first sale, chosen households."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.completejourney import product_title, read_completejourney, readable

PRODUCT = {"product_id": 1, "department": "GROCERY", "brand": "Private", "package_size": "8 OZ"}
PRODUCT |= {"product_category": "CHEESE", "product_type": "SHREDDED CHEESE"}
FUEL = {"product_id": 2, "department": "FUEL", "brand": "National", "package_size": None}
FUEL |= {"product_category": "COUPON/MISC ITEMS", "product_type": "GASOLINE-REG UNLEADED"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def basket(household: int, product: int, day: int, quantity: int, value: float) -> dict[str, Any]:
        return {
            "household_id": household,
            "product_id": product,
            "store_id": 31,
            "transaction_timestamp": datetime(2017, 1, day),
            "quantity": quantity,
            "sales_value": value,
            "retail_disc": 0.5,
            "coupon_match_disc": 0.0,
        }

    baskets = [basket(7, 1, 3, 1, 9.0), basket(7, 1, 2, 2, 3.5), basket(8, 2, 1, 0, 0.0), basket(7, 1, 1, 0, 1.0)]
    pq.write_table(pa.Table.from_pylist([PRODUCT, FUEL, FUEL | {"product_id": 3}]), tmp_path / "products.parquet")
    pq.write_table(pa.Table.from_pylist(baskets), tmp_path / "transactions.parquet")
    return tmp_path


def test_products_come_first_with_the_price_of_one_piece_at_the_first_sale(folder: Path) -> None:
    source = read_completejourney(folder)
    cheese, fuel, *purchases = source.rows
    assert (cheese.fields["title"], cheese.fields["topics"]) == ("Shredded cheese, 8 oz (store brand)", ["Cheese"])
    assert cheese.fields["price"] == (3.5 + 0.5) / 2
    assert (fuel.fields["topics"], fuel.fields["price"]) == (["Fuel"], None)
    assert [row.catalogue for row in (cheese, fuel, *purchases)] == [True, True, False, False, False, False]
    assert purchases[0].fields["context"] == {"store": "31"}
    assert purchases[-1].position == source.total


def test_chosen_households_come_with_their_products_alone(folder: Path) -> None:
    rows = list(read_completejourney(folder, households=[8]).rows)
    assert [row.fields.get("item_id") for row in rows] == [2, 2]
    assert rows[1].fields["user_id"] == 8


def test_a_type_of_one_word_follows_its_category() -> None:
    product = PRODUCT | {"product_category": "ICE CREAM/MILK/SHERBTS", "product_type": "PREMIUM", "brand": "National"}
    assert product_title(product) == "Ice cream/milk/sherbets: premium, 8 oz"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("FRZN SS PREMIUM ENTREES/DNRS/N", "Frozen single-serve premium entrees/dinners"),
        ("VEG&FRUIT (CHOP", "Vegetable & fruit"),
        ("", ""),
    ],
)
def test_names_of_the_register_are_read_in_full_words(name: str, words: str) -> None:
    assert readable(name) == words


def test_a_folder_that_holds_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no whole Complete Journey"):
        read_completejourney(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("transaction_timestamp", "yesterday", "yesterday"),
        ("transaction_timestamp", 1 << 60, "date value out of range"),
        ("household_id", "x", "'x'"),
        ("quantity", [1.0], "list"),
        ("store_id", None, ""),
        ("sales_value", None, ""),
    ],
)
def test_other_columns_are_refused_and_missing_values_are_no_price(
    folder: Path, column: str, value: object, problem: str
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "transactions.parquet"
    rows = pq.read_table(path).to_pylist()
    pq.write_table(pa.Table.from_pylist([row | {column: value} for row in rows]), path)
    if value is None:
        prices = [row.fields["price"] for row in read_completejourney(folder).rows if row.catalogue]
        assert prices == ([None] * 2 if column == "sales_value" else [2.0, None])
    else:
        with pytest.raises(DataError, match=problem):
            read_completejourney(folder)


def test_a_text_that_is_not_utf_8_and_a_missing_column_are_refused(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "products.parquet"
    products = pq.read_table(path)
    damaged = pa.array([b"\xf4"] * 3, pa.binary()).view(pa.string())
    pq.write_table(products.set_column(1, "department", damaged), path)
    with pytest.raises(DataError, match="UTF8"):
        read_completejourney(folder)
    pq.write_table(products.drop_columns(["brand"]), path)
    with pytest.raises(DataError, match="brand"):
        read_completejourney(folder)
