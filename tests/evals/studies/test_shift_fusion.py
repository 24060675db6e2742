"""How far a model that reads is trusted beside the statistics is learned from what came next."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.agent.reading.fuse_shift import ShiftFusion
from whimbrel.evals.studies import asked_choices
from whimbrel.evals.studies.asked_choices import AskConfig
from whimbrel.evals.studies.shift_fusion import ReadMoment, fit_fusion, learn_shift_fusion
from whimbrel.tools.errors import ConfigError, DataError

READ: dict[str, Any] = {"now": "They shop.", "phrases": ["bread"]}


def moments(count: int, *, knows: str, seed: int = 0) -> list[ReadMoment]:
    """Return moments at which one of the two states the true probability and the other one states chance."""
    random = np.random.default_rng(seed)
    drawn = []
    for number in range(count):
        true, chance = random.uniform(0.05, 0.95, size=2)
        stated = {"statistics": chance, "model": chance, knows: true}
        drawn.append(ReadMoment(f"u{number}", stated["statistics"], stated["model"], float(random.random() < true)))
    return drawn


def test_who_knows_gets_the_weight() -> None:
    model = fit_fusion([moments(2000, knows="model")])
    assert model.model == pytest.approx(1.0, abs=0.15)
    assert model.statistics < 0.2  # the ridge pulls towards the statistics
    statistics = fit_fusion([moments(2000, knows="statistics")])
    assert statistics.statistics == pytest.approx(1.0, abs=0.1)
    assert statistics.model < 0.1


def test_a_boastful_model_is_brought_down() -> None:
    random = np.random.default_rng(0)
    log = [ReadMoment(f"u{number}", 0.5, 0.95, float(random.random() < 0.4)) for number in range(1000)]
    assert fit_fusion([log]).probability(0.5, 0.95) == pytest.approx(0.4, abs=0.05)


def test_each_log_counts_the_same() -> None:
    few, many = moments(200, knows="model"), moments(5000, knows="statistics", seed=1)
    assert fit_fusion([few, many]).model > 0.3


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two logs in which bread follows tea in nine cases of ten."""
    sources: list[str] = []
    for name in ("north", "south"):
        path, random = tmp_path_factory.mktemp(name) / "log.csv", np.random.default_rng(len(sources))
        lines = ["user_id,title,topics,time"]
        for person in range(250):
            for step in range(8):
                bread = step % 2 == 1 and random.random() < 0.9
                topic = "Bread" if bread else "Tea"
                lines.append(f"u{person},{topic} {random.integers(60)},{topic},{1_600_000_000 + 999 * person + step}")
        path.write_text("\n".join(lines) + "\n")
        sources.append(f"{name}={path}")
    return sources


def opens(monkeypatch: pytest.MonkeyPatch, tier: Any = "reads", **shift: Any) -> None:
    model = ScriptedModel({"ReadReply": {**READ, "shift": shift}}, scores=False, tier=tier)
    monkeypatch.setattr(asked_choices, "open_model", lambda spec, *, remember: model)


def test_the_fusion_is_learned_from_logs_and_written(
    logs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens(monkeypatch, kind="temporal", to=["Bread"], probability=0.99)
    out = tmp_path / "fusion.json"
    measured = learn_shift_fusion(logs, out, AskConfig("scripted", "given", choices=200, asked=60))
    written = ShiftFusion.model_validate_json(out.read_text())
    assert written.learned_from == "north, south"
    assert measured.keys() == {"north", "south"}
    for row in measured.values():
        assert 30 <= row.gain.n <= 60
        assert row.fused.value < row.model.value  # the model always says .99
        assert row.gain.value == pytest.approx(row.statistics.value - row.fused.value, abs=1e-9)


def test_a_model_that_does_not_read_is_refused(
    logs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens(monkeypatch, tier="orders")
    with pytest.raises(ConfigError, match="does not read people well enough"):
        learn_shift_fusion(logs, tmp_path / "fusion.json", AskConfig("scripted"))


def test_readings_without_topics_teach_nothing(
    logs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens(monkeypatch, to=["Motorboats"])
    with pytest.raises(DataError, match="events have topics and times"):
        learn_shift_fusion(logs, tmp_path / "fusion.json", AskConfig("scripted", "given", choices=50, asked=20))
    assert not (tmp_path / "fusion.json").exists()


def test_a_fault_in_the_sources_costs_no_reply(
    logs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ScriptedModel({"ReadReply": {**READ, "shift": {"to": ["Bread"]}}}, scores=False, tier="reads")
    monkeypatch.setattr(asked_choices, "open_model", lambda spec, *, remember: model)
    with pytest.raises(ConfigError, match="two logs or more"):
        learn_shift_fusion(logs[:1], tmp_path / "fusion.json", AskConfig("scripted"))
    with pytest.raises(DataError):
        learn_shift_fusion([logs[0], f"gone={tmp_path / 'gone.csv'}"], tmp_path / "fusion.json", AskConfig("scripted"))
    assert not model.conversations
