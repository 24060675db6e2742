"""The study of a server under load: callers, direct calls, and a kill while feedback is recorded."""

from whimbrel.evals.studies.http_load import measure_http_load
from whimbrel.evals.studies.load import load_markdown
from whimbrel.evals.studies.scale import Shop


def test_callers_are_answered_and_a_kill_loses_nothing() -> None:
    measured = measure_http_load(Shop(50, 400), callers=3, minutes=0.05)
    assert measured["errors"] == 0
    assert measured["calls"] > 3
    assert measured["acknowledged before the kill"] >= 12
    assert measured["lost by the kill"] == 0
    assert "| ratio |" in load_markdown(measured)
