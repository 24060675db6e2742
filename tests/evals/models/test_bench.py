"""Speeds of a model."""

import pytest

from whimbrel.evals.models import bench as benches


@pytest.mark.slow
def test_models_bench_stands_beside_bare_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUNDS": 1, "SCORED": 4, "PREFIX": 60, "WRITTEN": 4}.items():
        monkeypatch.setattr(benches, name, value)
    found = {speed.name: speed for speed in benches.bench("bundled")}
    for name in ("reading", "writing, held to a schema", "requests"):
        ratio = found[name].ratio
        assert ratio is not None
        assert 0.2 < ratio < 5  # a measurement, not a bar: machines are busy
