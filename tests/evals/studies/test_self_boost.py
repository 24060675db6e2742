"""The study of makers who write titles for one request."""

from pathlib import Path

import pytest

from whimbrel.evals.studies import self_boost
from whimbrel.evals.studies.self_boost import ATTACKS, SYSTEMS, Target, measure_self_boost, self_boost_markdown


def test_each_attack_is_measured_for_each_number_of_accounts(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_boost, "ACCOUNTS", (1, 3))
    monkeypatch.setattr(self_boost, "ATTACKS", {"what is wanted": ATTACKS["what is wanted"]})
    monkeypatch.setattr(self_boost, "LEAST_EVENTS", 3)
    document = measure_self_boost(str(shop), 2)
    assert [(row["attack"], row["accounts"]) for row in document["rows"]] == [
        ("what is wanted", 1),
        ("what is wanted", 3),
    ]
    assert all(0 <= row[system]["first"] <= 1 for row in document["rows"] for system in SYSTEMS)
    assert "| what is wanted | 3 |" in self_boost_markdown(document)


def test_an_attack_is_written_for_its_request() -> None:
    target = Target("u", "", ["Oak table", "Pine chair"], ["Furniture"], ["Lamp"])
    assert ATTACKS["what is wanted"](target) == "Oak table"
    assert ATTACKS["the history joined"](target) == "Oak table / Pine chair"
    assert len({title(target) for title in ATTACKS.values()}) == len(ATTACKS)
