"""Speeds of a model."""

import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.evals.models import bench as benches


@pytest.mark.slow
def test_models_bench_stands_beside_bare_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUNDS": 1, "SCORED": 4, "PREFIX": 60, "WRITTEN": 4}.items():
        monkeypatch.setattr(benches, name, value)
    speeds = {speed.name: speed for speed in benches.bench("bundled")}
    for name in ("reading", "writing, held to a schema", "requests"):
        assert speeds[name].ratio is not None
    # Writing is a difference of two times. On a busy machine, the time of a few tokens is noise.
    for name in ("reading", "requests"):
        assert speeds[name].ratio > 0  # type: ignore[operator]


def test_a_model_that_is_not_local_is_timed_without_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedModel({"LongReply": {"words": "tea " * 100}})
    monkeypatch.setattr(benches, "open_some_model", lambda spec, tell: model)
    speeds = list(benches.bench("scripted"))
    assert [speed.unit for speed in speeds] == ["s", "s", "tokens/s", "requests/s"]
    assert all(speed.ours > 0 and speed.ratio is None for speed in speeds)


@pytest.mark.parametrize(("unit", "ratio"), [("s", 2.0), ("tokens/s", 0.5)])
def test_a_ratio_is_that_of_times_whatever_the_unit(unit: str, ratio: float) -> None:
    assert benches.Speed("reading", 4.0, 2.0, unit).ratio == ratio
