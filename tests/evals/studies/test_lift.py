"""What a model adds, measured on logs that its weights were not learned from."""

import numpy as np
import pytest

from whimbrel.agent.learning.ranking import AnsweredChoiceSet, ChoiceSet
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.evals.studies.lift import OTHERS, OWN, Lift, LiftConfig, lifts_of, markdown, measure_lifts
from whimbrel.tools.errors import ConfigError

CANDIDATES = 10


def log_of(
    name: str, count: int, *, effect: float, random: np.random.Generator
) -> tuple[list[ChoiceSet], list[AnsweredChoiceSet]]:
    """Choices that the features say nothing of, with a model's answer that is higher by `effect` for what was chosen."""
    choices, answers = [], []
    for number in range(count):
        chosen = int(random.integers(CANDIDATES))
        choice = ChoiceSet(f"{name} {number // 2}", random.normal(size=(CANDIDATES, len(FEATURES))), chosen)
        model_features = random.normal(size=(CANDIDATES, 2))
        model_features[chosen, 0] += effect
        choices.append(choice)
        answers.append(AnsweredChoiceSet(choice, np.arange(CANDIDATES), model_features, chosen))
    return choices, answers


def lifts(effects: dict[str, float]) -> dict[str, dict[str, Lift]]:
    random = np.random.default_rng(0)
    logs = {name: log_of(name, 200, effect=effect, random=random) for name, effect in effects.items()}
    choices = {name: log[0] for name, log in logs.items()}
    answers = {name: log[1] for name, log in logs.items()}
    return {name: lifts_of(name, choices, answers, seed=0) for name in logs}


def test_a_model_that_knows_lifts_a_log_by_weights_from_the_others() -> None:
    measured = lifts({"one": 2.0, "other": 2.0})
    for lift in (lift for by_origin in measured.values() for lift in by_origin.values()):
        assert lift.lift.n == 200
        assert lift.lift.low > 0.1
        assert lift.p < 0.01
        assert abs(lift.with_.value - lift.without.value - lift.lift.value) < 1e-9


def test_what_a_log_teaches_helps_its_other_people_alone() -> None:
    measured = lifts({"known": 3.0, "unknown": 0.0})
    assert measured["known"][OTHERS].weights.get("likelihood", 0.0) < 0.3  # learned where the model knew nothing
    assert measured["known"][OWN].weights["likelihood"] > 0.8
    assert measured["known"][OWN].lift.low > 0.1
    assert measured["unknown"][OTHERS].weights["likelihood"] > 0.8
    assert measured["unknown"][OTHERS].lift.low < 0
    assert measured["unknown"][OWN].weights.get("likelihood", 0.0) < 0.3


def test_the_table_has_n_interval_and_weights() -> None:
    table = markdown(lifts({"one": 2.0, "other": 2.0}))
    assert "| one | other logs | 200 |" in table
    assert "| other | own people | 200 |" in table
    assert "likelihood" in table.splitlines()[2]


def test_one_log_or_no_model_is_an_error() -> None:
    with pytest.raises(ConfigError, match="give two logs or more, and a model"):
        measure_lifts(["first=nowhere", "second=nowhere"], LiftConfig(llm="none"))
