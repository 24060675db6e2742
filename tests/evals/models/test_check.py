"""Checks of a model."""

import json
import subprocess
import sys

import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.evals.models.check import position_bias


@pytest.mark.parametrize(("favours", "expected"), [("first", 1.0), ("last", -1.0)])
def test_the_bias_to_positions_is_measured(favours: str, expected: float) -> None:
    order = list(range(1, 9)) if favours == "first" else list(range(8, 0, -1))
    model = ScriptedModel({"OrderReply": {"order": order}}, scores=False)
    assert position_bias(model, permutations=1).mean == pytest.approx(expected)
    assert position_bias(model, permutations=2).lists == 0  # all alike: no order is left


@pytest.mark.slow
def test_models_check_tells_what_it_found() -> None:
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "models", "check", "bundled", "--json"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    found = {line["name"]: line for line in json.loads(told.stdout)["findings"]}
    assert found["answers in a schema"]["ok"]
    assert found["gives likelihoods"]["figures"]["worst_nats"] <= 0.7
    assert found["position bias, 1 order"]["figures"]["lists"] > 0
