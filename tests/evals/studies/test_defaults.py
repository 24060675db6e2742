"""The worth of a language model is learned from logs and written into a file of weights, beside what is there."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.agent.language_models.protocol import Tier
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.evals.studies import asked_choices
from whimbrel.evals.studies.asked_choices import AskConfig
from whimbrel.evals.studies.defaults import learn_model
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, DataError

RING = 200
"""Things of a ring. A person mostly takes the next one."""


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, random = tmp_path_factory.mktemp("ring") / "ring.csv", np.random.default_rng(0)
    lines = ["user_id,title,time"]
    for person in range(60):
        place = int(random.integers(RING))
        for step in range(10):
            place = (place + 1) % RING if random.random() < 0.9 else int(random.integers(RING))
            lines.append(f"u{person},Thing {place},{1_600_000_000 + 600 * person + 60 * step}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.json"
    path.write_text(Rankers.default().model_dump_json())
    return path


def block(messages: Sequence[Message], heading: str) -> list[str]:
    return messages[-1]["content"].partition(f"{heading}\n<data>\n")[2].partition("\n</data>")[0].splitlines()


def knowing(messages: Sequence[Message]) -> dict[str, Any]:
    """Name the thing that lies next on the ring after the latest one."""
    latest = int(block(messages, "oldest first:")[-1].split()[2])
    options = [int(line.partition("Thing ")[2].partition(";")[0]) for line in block(messages, "Options:")]
    ahead = [(number - latest - 1) % RING for number in options]
    return {"best": [{"option": ahead.index(min(ahead)) + 1, "grade": 9}]}


def model_opens(monkeypatch: pytest.MonkeyPatch, reply: Any = knowing, tier: Tier = "orders") -> ScriptedModel:
    model = ScriptedModel({"OrderReply": reply}, scores=False, tier=tier)
    monkeypatch.setattr(asked_choices, "open_model", lambda spec, *, remember: model)
    return model


CONFIG = AskConfig(llm="scripted", choices=120, asked=25)


def test_what_a_model_is_worth_is_written_for_its_tier_and_its_kind_of_candidates(
    ring: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_opens(monkeypatch)
    learned = learn_model([f"ring={ring}"], weights, CONFIG)
    assert learned["order"] + learned["grade"] > 0.5
    assert len(model.conversations) == 2 * 25  # as many people as asked for, each in two directions
    before, after = Rankers.default(), Rankers.model_validate_json(weights.read_text())
    assert after.cold.models == {**before.cold.models, "orders": learned}
    assert after.cold.weights == before.cold.weights
    untouched = ("retrieved", "given", "channels", "signals", "learned_from")
    assert [getattr(after, name) for name in untouched] == [getattr(before, name) for name in untouched]


def test_the_weights_of_other_tiers_stay_as_a_second_model_is_learned(
    ring: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_opens(monkeypatch)
    first = learn_model([f"ring={ring}"], weights, CONFIG)
    model_opens(monkeypatch, tier="reads")
    second = learn_model([f"ring={ring}"], weights, AskConfig("scripted", choices=120, asked=12))
    after = Rankers.model_validate_json(weights.read_text())
    assert after.cold.models == {**Rankers.default().cold.models, "orders": first, "reads": second}
    assert first != second


def test_a_model_without_a_usable_reply_changes_no_weight(
    ring: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_opens(monkeypatch, reply="no idea")
    assert learn_model([f"ring={ring}"], weights, CONFIG) == {}
    assert Rankers.model_validate_json(weights.read_text()) == Rankers.default()


@pytest.mark.parametrize("content", [None, "", "[]", json.dumps({"version": 2})])
def test_a_file_that_holds_no_weights_is_an_error_that_says_what_writes_it(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_opens(monkeypatch)
    path = tmp_path / "weights.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match="whimbrel eval defaults fusion"):
        learn_model(["shop=nowhere.csv"], path, CONFIG)
    assert model.conversations == []


def test_without_a_model_there_is_nothing_to_learn(weights: Path) -> None:
    with pytest.raises(ConfigError, match="--llm"):
        learn_model(["shop=nowhere.csv"], weights, AskConfig(llm="none"))
