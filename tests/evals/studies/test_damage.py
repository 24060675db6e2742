"""The study of damaged files: a store with a damaged file gives the same answer or refuses, and faults are counted."""

import json
import random

import pytest

from whimbrel.evals.studies import damage
from whimbrel.evals.studies.damage import DAMAGES, KINDS, _judged, damage_markdown, measure_damage


def test_a_damaged_file_is_never_another_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "KINDS", {kind: KINDS[kind] for kind in ("index", "what was learned")})
    outcomes = measure_damage(1)
    assert [outcome.faults for outcome in outcomes] == [0, 0]
    assert outcomes[0].answers["refused"] == outcomes[0].repairs["same answer"] == 1
    assert json.loads(json.dumps([outcome.document() for outcome in outcomes]))[0]["answers"] == {"refused": 1}
    assert "| index | 0 | 1 | 0 | 1 | 0 | 0 | 0 |" in damage_markdown(outcomes)


def test_another_answer_is_a_fault() -> None:
    assert _judged(("answer", "[1]"), ("answer", "[2]"))[0] == "another answer"
    assert _judged(("answer", "[1]"), ("answer", "[1]"))[0] == "same answer"
    assert _judged(("refused", "why"), ("answer", "[1]"))[0] == "refused"


def test_every_damage_changes_a_file() -> None:
    content = bytes(range(1, 256)) * 4
    for change in DAMAGES:
        assert change(bytearray(content), random.Random(0)) != content
