"""The made-up invoices: what such logs are like, the truth beside them, and that they are read as any log is."""

import csv
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from whimbrel.evals.studies.invoices import InvoiceConfig, write_invoices
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

CONFIG = InvoiceConfig(customers=150, items=600, months=13)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("invoices") / "invoices.csv"
    write_invoices(CONFIG, out)
    return out


@pytest.fixture(scope="module")
def lines(made: Path) -> list[dict[str, str]]:
    with made.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    write_invoices(CONFIG, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == made.read_bytes()


def test_exports_hold_cancellations_postage_free_lines_and_lines_without_a_customer(
    lines: list[dict[str, str]],
) -> None:
    cancelled = [line for line in lines if line["Invoice"].startswith("C")]
    assert cancelled
    assert all(int(line["Quantity"]) < 0 for line in cancelled)
    assert any("POST" in line["Description"] for line in lines)
    assert any(float(line["Price"]) == 0 for line in lines)
    anonymous = sum(not line["CustomerID"] for line in lines) / len(lines)
    assert 0.03 < anonymous < 0.25
    assert all(line["Description"] == line["Description"].upper() for line in lines)


def test_customers_reorder_and_one_title_has_several_codes(lines: list[dict[str, str]]) -> None:
    codes = defaultdict(set)
    met: dict[str, set[str]] = defaultdict(set)
    repeated: Counter[bool] = Counter()
    for line in lines:
        codes[line["Description"]].add(line["StockCode"])
        if line["CustomerID"] and not line["Invoice"].startswith("C"):
            repeated[line["StockCode"] in met[line["CustomerID"]]] += 1
            met[line["CustomerID"]].add(line["StockCode"])
    assert max(map(len, codes.values())) > 1
    assert 0.15 < repeated[True] / repeated.total() < 0.7


def test_the_truth_of_shifts_names_customers_of_the_log(made: Path, lines: list[dict[str, str]]) -> None:
    shifts = [json.loads(line) for line in made.with_suffix(".shifts.jsonl").read_text("utf-8").splitlines()]
    customers = {line["CustomerID"] for line in lines}
    assert shifts
    assert {shift["user_id"] for shift in shifts} <= customers
    assert all(shift["from"] != shift["to"] for shift in shifts)
    assert {shift["kind"] for shift in shifts} <= {"situational", "temporal", "contextual"}


def test_the_log_is_read_without_a_map(made: Path, tmp_path: Path) -> None:
    done = ingest(open_source(str(made)), tmp_path / "store")
    assert done.events > 1000
    assert done.users > 50


def test_a_shop_that_is_too_small_is_refused() -> None:
    with pytest.raises(ConfigError, match="500 items"):
        InvoiceConfig(items=10)
