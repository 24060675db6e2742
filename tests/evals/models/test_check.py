"""Checks of a model."""

import json
import subprocess
import sys

import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.evals.models import check as checks
from whimbrel.evals.models.check import position_bias


@pytest.mark.parametrize(("favours", "expected"), [("first", 1.0), ("last", -1.0)])
def test_the_bias_to_positions_is_measured(favours: str, expected: float) -> None:
    order = list(range(1, 9)) if favours == "first" else list(range(8, 0, -1))
    model = ScriptedModel({"OrderReply": {"order": order}}, scores=False)
    assert position_bias(model, permutations=1).mean == pytest.approx(expected)
    assert position_bias(model, permutations=2).lists == 0  # all alike: no order is left


@pytest.mark.slow
def test_models_check_prints_its_findings() -> None:
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "models", "check", "bundled", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    findings = {line["name"]: line for line in json.loads(ended.stdout)["findings"]}
    assert findings["answers in a schema"]["ok"]
    assert findings["gives likelihoods"]["figures"]["worst_nats"] <= 0.7
    assert findings["position bias, 1 order"]["figures"]["lists"] > 0


@pytest.mark.parametrize(("colour", "ok"), [("blue", True), ("x", False)])
def test_a_model_whose_replies_fit_no_schema_fails_the_check(
    colour: str, ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedModel({"ColourReply": {"colour": colour}, "OrderReply": {"order": [1]}}, scores=False)
    monkeypatch.setattr(checks, "open_some_model", lambda spec, tell: model)
    findings = {finding.name: finding for finding in checks.check("scripted")}
    assert findings["answers in a schema"].ok is ok
    assert findings["answers in a schema"].figures == {"fitting": 5 * ok, "asked": 5, "repairs": 0}
    assert findings["gives likelihoods"].ok is None
    assert set(findings) >= {"opens", "counts tokens", "position bias, 1 order", "position bias, 2 orders"}
