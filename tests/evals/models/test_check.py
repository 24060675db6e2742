"""Checks of a model."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from whimbrel.agent import ModelError, ScriptedModel
from whimbrel.agent.reading.tiers import KNOWN_LISTS
from whimbrel.evals.models import check as checks
from whimbrel.evals.models.check import Finding, position_bias
from whimbrel.prompts import Message


@pytest.mark.parametrize(("favours", "expected"), [("first", 1.0), ("last", -1.0)])
def test_the_bias_to_positions_is_measured(favours: str, expected: float) -> None:
    order = list(range(1, 9)) if favours == "first" else list(range(8, 0, -1))
    best = [{"option": option, "grade": 5} for option in order]
    model = ScriptedModel({"OrderReply": {"best": best}}, scores=False)
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
    model = ScriptedModel({"ColourReply": {"colour": colour}, "OrderReply": {"best": [{"option": 1}]}}, scores=False)
    monkeypatch.setattr(checks, "open_some_model", lambda spec, tell: model)
    findings = {finding.name: finding for finding in checks.check("scripted")}
    assert findings["answers in a schema"].ok is ok
    assert findings["answers in a schema"].figures == {"fitting": 5 * ok, "asked": 5, "repairs": 0}
    assert findings["gives likelihoods"].ok is None
    assert set(findings) >= {"opens", "counts tokens", "position bias, 1 order", "position bias, 2 orders"}
    assert findings["is capable of"].figures == {"right": 0, "tier": 0}


def findings_of(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> dict[str, Finding]:
    monkeypatch.setattr(checks, "open_some_model", lambda spec, tell: model)
    return {finding.name: finding for finding in checks.check("scripted")}


def test_what_a_model_is_capable_of_is_measured_whatever_it_states(monkeypatch: pytest.MonkeyPatch) -> None:
    obvious = {known.next for known in KNOWN_LISTS}

    def order(messages: Sequence[Message]) -> dict[str, Any]:
        lines = messages[-1]["content"].splitlines()
        wanted = [line.partition(". ")[0] for line in lines if line.partition(". ")[2] in obvious]
        return {"best": [{"option": number, "grade": 9} for number in wanted or ["1"]]}

    replies: dict[str, Any] = {"ColourReply": {"colour": "blue"}, "OrderReply": order}
    found = findings_of(ScriptedModel(replies, scores=False), monkeypatch)["is capable of"]
    assert found.ok is None
    assert found.figures == {"right": 3, "tier": 1}
    assert found.words == "ordering candidates (3 of 3 known lists right; reads a person wrongly)"
    interests = [{"name": "a baby", "events": [6, 8]}]
    replies["ReadReply"] = {"now": "A baby.", "interests": interests, "phrases": ["books about toddlers"]}
    found = findings_of(ScriptedModel(replies, scores=False), monkeypatch)["is capable of"]
    assert found.figures == {"right": 3, "tier": 2}
    assert found.words.endswith("(3 of 3 known lists right; reads a person rightly)")


def test_a_model_that_breaks_off_is_said_to_be_capable_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(messages: Sequence[Message]) -> str:
        raise ModelError("the server broke off")

    model = ScriptedModel({"ColourReply": {"colour": "blue"}, "OrderReply": broken}, scores=False)
    found = findings_of(model, monkeypatch)
    assert (found["is capable of"].ok, found["is capable of"].words) == (False, "the server broke off")
    assert not found["position bias, 2 orders"].ok
