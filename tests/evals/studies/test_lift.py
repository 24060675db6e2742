"""What a model adds, measured on logs that its weights were not learned from."""

import numpy as np
import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.protocol import Tier
from whimbrel.agent.learning.model_weights import AnsweredChoiceSet
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.evals.studies.asked_choices import AskConfig
from whimbrel.evals.studies.lift import OTHERS, OWN, TEXT, Lift, lifts_of, markdown, measure_lifts
from whimbrel.tools.errors import ConfigError

CANDIDATES = 10


FIGURES: dict[Tier, str] = {"fills": "likelihood", "orders": "order"}
"""The figure that tells what was chosen, keyed by the tier of the model."""


def log_of(
    name: str, count: int, *, effect: float, random: np.random.Generator, figure: str = "likelihood"
) -> tuple[list[ChoiceSet], list[AnsweredChoiceSet]]:
    """Choices that the features say nothing of, with a model's answer that is higher by `effect` for what was chosen."""
    choices, answers = [], []
    for number in range(count):
        chosen = int(random.integers(CANDIDATES))
        choice = ChoiceSet(f"{name} {number // 2}", random.normal(size=(CANDIDATES, len(FEATURES))), chosen)
        figures = random.normal(size=(CANDIDATES, 2))
        figures[chosen, 0] += effect
        choices.append(choice)
        answers.append(AnsweredChoiceSet(choice, {figure: figures[:, 0], "prior": figures[:, 1]}))
    return choices, answers


def lifts(effects: dict[str, float], tier: Tier = "fills") -> dict[str, dict[str, Lift]]:
    random, figure = np.random.default_rng(0), FIGURES[tier]
    logs = {name: log_of(name, 200, effect=effect, random=random, figure=figure) for name, effect in effects.items()}
    choices = {name: log[0] for name, log in logs.items()}
    answers = {name: log[1] for name, log in logs.items()}
    model = ModelAccess(ScriptedModel(), tier=tier)
    return {name: lifts_of(name, choices, answers, model, seed=0) for name in logs}


@pytest.mark.parametrize("tier", FIGURES)
def test_a_model_that_knows_lifts_a_log_by_weights_from_the_others(tier: Tier) -> None:
    measured = lifts({"one": 2.0, "other": 2.0}, tier)
    for lift in (by_origin[origin] for by_origin in measured.values() for origin in (OTHERS, OWN)):
        assert lift.lift.n == 200
        assert lift.lift.low > 0.1
        assert lift.p < 0.01
        assert abs(lift.with_.value - lift.without.value - lift.lift.value) < 1e-9
        assert lift.alone.value > lift.without.value + 0.1  # the features say nothing
        assert lift.weights[FIGURES[tier]] > 0.8
        assert ("others" in lift.weights) == (tier == "orders")


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
    columns = [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")]
    assert columns[3:6] == ["NDCG@10 without", "the model alone", "both"]
    figures, _, parts = table.partition("\n\n")
    assert all(line.count("|") == len(columns) + 1 for line in figures.splitlines())
    assert parts.splitlines()[0] == "| log | lift of | short history | long history |"
    assert "| one | the model | +" in parts
    assert "| one | text signals | " in parts


def test_text_is_worth_what_the_ranking_loses_without_it() -> None:
    random = np.random.default_rng(1)

    def log(feature: str) -> list[ChoiceSet]:
        """Choices of which one feature says everything."""
        sets = []
        for number in range(150):
            features = np.zeros((10, len(FEATURES)))
            features[:, FEATURES.index(feature)] = random.normal(size=10)
            chosen = int(features[:, FEATURES.index(feature)].argmax())
            sets.append(ChoiceSet(f"u{number}", features, chosen))
        return sets

    model = ModelAccess(ScriptedModel())
    for feature, expected in (("nearest", 1.0), ("itemknn", 0.0)):
        choices = {name: log(feature) for name in ("one", "other")}
        says_nothing = {"likelihood": np.zeros(10), "prior": np.zeros(10)}
        answers = {name: [AnsweredChoiceSet(of_log[0], says_nothing)] for name, of_log in choices.items()}
        text = lifts_of("one", choices, answers, model, seed=0)[TEXT]
        assert (text.lift.value > 0.4) == bool(expected)
        assert text.with_.value > 0.95
        assert text.lift.n == text.slices["short history"].n == 150


def test_one_log_or_no_model_is_an_error() -> None:
    with pytest.raises(ConfigError, match="give a model with --llm"):
        measure_lifts(["first=nowhere", "second=nowhere"], AskConfig(llm="none"))
    with pytest.raises(ConfigError, match="give two logs or more"):
        measure_lifts(["first=nowhere"], AskConfig())
