"""Tables become frames of Polars and pandas, or an error says what to install."""

import sys
from typing import Any

import pytest

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.frames import Tabular


class Prices(Tabular):
    def __init__(self, prices: list[float]) -> None:
        self.prices = prices

    def columns(self) -> dict[str, list[Any]]:
        return {"item": [f"i{number}" for number, _ in enumerate(self.prices)], "price": self.prices}


def test_both_frames_hold_the_same_table() -> None:
    table = Prices([1.5, 2.0])
    assert table.to_polars().to_dicts() == [{"item": "i0", "price": 1.5}, {"item": "i1", "price": 2.0}]
    assert table.to_pandas().to_dict("records") == table.to_polars().to_dicts()


def test_an_empty_table_keeps_its_columns() -> None:
    assert Prices([]).to_polars().columns == ["item", "price"]
    assert list(Prices([]).to_pandas().columns) == ["item", "price"]


@pytest.mark.parametrize("name", ["polars", "pandas"])
def test_an_absent_package_names_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'whimbrel\[notebook\]'"):
        getattr(Prices([1.0]), f"to_{name}")()
