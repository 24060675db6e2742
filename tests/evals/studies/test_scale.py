"""The study of scale: what is measured of a small shop, and how growth is told."""

import pytest

from whimbrel.evals.studies.scale import ScaleConfig, Shop, measure_scale, parse_size, scale_markdown
from whimbrel.tools.errors import ConfigError


@pytest.mark.parametrize("size", ["", "10", "0:5", "5:0", "a:b"])
def test_a_size_is_two_whole_numbers(size: str) -> None:
    with pytest.raises(ConfigError, match="ITEMS:EVENTS"):
        parse_size(size)


def test_a_shop_is_ingested_asked_and_started_from_cold() -> None:
    measured = measure_scale(Shop(40, 400), ScaleConfig(starts=1))
    assert measured["items"] == 40
    assert 0 < measured["events"] <= 400
    assert measured["fit seconds"] is None
    assert min(measured[name] for name in ("store MB", "cold start seconds", "request MB", "ingestion MB")) > 0
    assert measured["ms"]["in all"]["p50"] >= measured["ms"]["retrieve"]["p50"] > 0


def test_growth_is_told_as_a_power_of_the_number_of_events() -> None:
    names = ("items", "ingestion seconds", "ingestion MB", "store MB", "cold start seconds", "request MB")
    small = {**dict.fromkeys(names, 2.0), "events": 100, "fit seconds": None, "fit MB": None}
    small["ms"] = {"in all": {"p50": 3.0, "p95": 4.0}}
    large = {**small, "events": 10_000, "ingestion seconds": 200.0, "ms": {"in all": {"p50": 30.0, "p95": 40.0}}}
    last = scale_markdown([small, large]).splitlines()[-1]
    assert last.startswith("From 100 to 10,000 events")
    assert "ingestion seconds 1.00," in last
    assert "store MB 0.00" in last
    assert last.endswith("request 0.50.")
