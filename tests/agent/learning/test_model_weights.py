"""What a language model's figures are worth is learned from choices that it was asked about."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from whimbrel.agent import Item, ModelError, ScriptedModel
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.learning.choice_sets import choice_sets, training_queries
from whimbrel.agent.learning.model_weights import (
    AnsweredChoiceSet,
    ask_about,
    gains_with_model,
    learn_model_weights,
    scores_with_model,
)
from whimbrel.agent.learning.ranking import ChoiceSet, gain, gains, scores
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker
from whimbrel.agent.state import Resources
from whimbrel.prompts import Message
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.store.in_memory import InMemory

SIZE = 12
START = Ranker(
    weights={"itemknn": 1.0}, moving={"itemknn": 1.0}, models={"fills": {"likelihood": 0.3}}, trees="", digest=""
)
"""What the model's weights are learned beside."""
SMALL, ORDERER = (ModelAccess(ScriptedModel(), tier=tier) for tier in ("fills", "orders"))


def centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()


def answered(
    count: int, *, feature: float, model: float, figures: Sequence[str] = ("order",), seed: int = 0
) -> list[AnsweredChoiceSet]:
    """Return choices that follow a feature and something that only the model's figures tell, with noise."""
    random, sets = np.random.default_rng(seed), []
    for number in range(count):
        table, known = random.normal(size=(SIZE, len(FEATURES))), centred(random.normal(size=SIZE))
        worth = feature * table[:, FEATURES.index("itemknn")] + model * known + random.gumbel(size=SIZE)
        others = {name: centred(random.normal(size=SIZE)) for name in figures[1:]}
        choice = ChoiceSet(f"u{number % 80}", table, int(worth.argmax()))
        sets.append(AnsweredChoiceSet(choice, {figures[0]: known, **others}))
    return sets


def test_a_model_whose_order_follows_the_choice_gets_most_of_the_say() -> None:
    learned = learn_model_weights([answered(400, feature=0.0, model=2.0)], START, "orders")
    weights = learned.models["orders"]
    assert weights["order"] == pytest.approx(2.0, abs=0.4)
    assert weights["others"] < 0.3  # the feature says nothing where the model knows
    unseen = answered(200, feature=0.0, model=2.0, seed=5)
    without = gains(learned, [answer.choice for answer in unseen]).mean()
    assert gains_with_model(learned, unseen, ORDERER).mean() > without + 0.2


def test_where_features_and_model_both_tell_the_choice_both_count() -> None:
    sets = answered(500, feature=1.0, model=1.0)
    weights = learn_model_weights([sets], START, "reads").models["reads"]
    assert weights["others"] == pytest.approx(1.0, abs=0.3)
    assert weights["order"] == pytest.approx(1.0, abs=0.3)
    ranker = START.model_copy(update={"models": {"orders": {"others": 0.25, "order": 3.0}}})
    answer = sets[0]
    expected = 0.25 * scores(ranker, answer.choice) + 3 * answer.figures["order"]
    assert scores_with_model(ranker, answer, ORDERER) == pytest.approx(expected)


@pytest.mark.parametrize("figures", [("order", "grade", "agreement"), ("likelihood", "prior")])
@pytest.mark.parametrize("seed", range(4))
def test_a_random_model_gets_next_to_no_say(figures: tuple[str, ...], seed: int) -> None:
    answers = answered(400, feature=1.0, model=0.0, figures=figures, seed=seed)
    learned = learn_model_weights([answers], START, "orders")
    weights = learned.model_weights(ORDERER)
    assert all(abs(weights.get(name, 0.0)) < 0.15 for name in figures)  # a feature that counts has about 1
    assert learned.others(ORDERER) == pytest.approx(1, abs=0.2)
    unseen = answered(400, feature=1.0, model=0.0, figures=figures, seed=seed + 10)
    without = gains(learned, [answer.choice for answer in unseen])
    assert gains_with_model(learned, unseen, ORDERER).mean() == pytest.approx(without.mean(), abs=0.02)


@pytest.mark.parametrize("figures", [("order",), ("likelihood", "prior")])
def test_a_model_that_is_worse_than_random_is_not_asked_again(figures: tuple[str, ...]) -> None:
    answers = answered(400, feature=1.0, model=-0.5, figures=figures)
    learned = learn_model_weights([answers], START, "orders")
    assert learned.models["orders"] == {}
    assert not learned.asks(ORDERER, figures)
    assert learned.others(ORDERER) == 1
    assert gains_with_model(learned, answers, ORDERER) == pytest.approx(
        gains(learned, [answer.choice for answer in answers])
    )


def test_the_weights_of_the_features_and_of_other_tiers_stay() -> None:
    for effect in (2.0, -1.0):
        learned = learn_model_weights([answered(200, feature=0.0, model=effect)], START, "orders")
        assert (learned.weights, learned.moving, learned.trees) == (START.weights, START.moving, START.trees)
        assert learned.models["fills"] == START.models["fills"]
    assert START.models.keys() == {"fills"}  # what learning starts from is not changed


def test_only_the_unwanted_and_the_prior_may_count_against_a_candidate() -> None:
    random, sets = np.random.default_rng(3), []
    for number in range(400):
        figures = {name: centred(random.normal(size=SIZE)) for name in ("order", "phrases", "unwanted", "agreement")}
        worth = figures["order"] - figures["unwanted"] - 0.3 * figures["phrases"] - 0.3 * figures["agreement"]
        chosen = int((worth + random.gumbel(size=SIZE)).argmax())
        sets.append(AnsweredChoiceSet(ChoiceSet(f"u{number}", np.zeros((SIZE, len(FEATURES))), chosen), figures))
    weights = learn_model_weights([sets], START, "reads").models["reads"]
    assert weights["unwanted"] == pytest.approx(-1.0, abs=0.3)
    assert weights["order"] == pytest.approx(1.0, abs=0.3)
    assert (weights["phrases"], weights["agreement"]) == (0, 0)
    assert "grade" not in weights  # no answer has it


def test_an_answer_without_a_figure_counts_it_as_0() -> None:
    sets = answered(200, feature=0.0, model=2.0, figures=("order", "phrases"))
    mixed = [
        answer if number % 2 else replace(answer, figures={"order": answer.figures["order"]})
        for number, answer in enumerate(sets)
    ]
    weights = learn_model_weights([mixed], START, "reads").models["reads"]
    assert set(weights) == {"others", "order", "phrases"}
    assert weights["order"] > 1


def test_likelihoods_are_weighed_beside_what_the_features_say_in_full() -> None:
    sets = answered(500, feature=1.0, model=1.5, figures=("likelihood", "prior"))
    learned = learn_model_weights([sets], START, "fills")
    assert set(learned.models["fills"]) == {"likelihood", "prior"}
    assert learned.models["fills"]["likelihood"] == pytest.approx(1.5, abs=0.4)
    assert abs(learned.models["fills"]["prior"]) < 0.2
    assert learned.others(SMALL) == 1
    answer = sets[0]
    added = sum(learned.models["fills"][name] * answer.figures[name] for name in ("likelihood", "prior"))
    assert scores_with_model(learned, answer, SMALL) == pytest.approx(scores(learned, answer.choice) + added)
    for number in (0, 1):
        expected = gain(scores_with_model(learned, sets[number], SMALL), sets[number].choice.chosen)
        assert gains_with_model(learned, sets, SMALL)[number] == expected


def test_each_log_counts_the_same_whatever_its_length() -> None:
    long, short = answered(400, feature=0.0, model=2.0), answered(100, feature=0.0, model=-2.0, seed=1)
    alone = learn_model_weights([long], START, "orders").models["orders"]["order"]
    assert not learn_model_weights([long, short, short], START, "orders").asks(ORDERER, ("order",))
    assert alone > 1


def test_the_weights_of_a_very_model_count_before_those_of_its_tier() -> None:
    known, random = answered(300, feature=0.0, model=2.0), answered(300, feature=1.0, model=-0.5)
    by_tier = learn_model_weights([known], START, "orders")
    digest = ScriptedModel().digest
    by_model = learn_model_weights([random], by_tier, digest)
    assert by_tier.asks(ORDERER, ("order",))
    assert by_model.models == {**by_tier.models, digest: {}}
    assert not by_model.asks(ORDERER, ("order",))


def test_without_answers_nothing_is_learned() -> None:
    for logs in ([], [[]], [[], []]):
        assert learn_model_weights(logs, START, "orders") is START


RING = 200
"""Things of a ring. A person takes the next one."""


def walks(people: int = 60) -> InMemory:
    """Return a log of people who go round a ring of things, with a stray step now and then."""
    random = np.random.default_rng(0)
    items = [Item(item_id=f"i{number:03}", title=f"Thing {number}") for number in range(RING)]
    rows, clock = [], 0
    for person in range(people):
        place = int(random.integers(RING))
        for _ in range(10):
            place = (place + 1) % RING if random.random() < 0.9 else int(random.integers(RING))
            clock += 60
            rows.append((1.6e9 + clock, f"u{person}", items[place].item_id, None))
    return InMemory(items, InteractionLog.build(items, rows), timed=True)


@pytest.fixture(scope="module")
def choices() -> dict[CandidateKind, list[ChoiceSet]]:
    library = walks()
    drawn = list(training_queries(library, most=60, warm_up=0.5))
    resources = Resources(library, Fitted.default())
    kinds: tuple[CandidateKind, ...] = ("given", "cold", "retrieved")
    return {kind: choice_sets(drawn, resources, kind) for kind in kinds}


def block(messages: Sequence[Message], heading: str) -> list[str]:
    return messages[-1]["content"].partition(f"{heading}\n<data>\n")[2].partition("\n</data>")[0].splitlines()


def planted(messages: Sequence[Message]) -> dict[str, Any]:
    """Name the thing that lies next on the ring after the latest one, wherever it stands among the options."""
    latest = int(block(messages, "oldest first:")[-1].split()[2])
    options = [int(line.partition("Thing ")[2].partition(";")[0]) for line in block(messages, "Options:")]
    ahead = [(number - latest - 1) % RING for number in options]
    return {"best": [{"option": ahead.index(min(ahead)) + 1, "grade": 9}]}


def orderer(reply: Any = planted) -> ModelAccess:
    return ModelAccess(ScriptedModel({"OrderReply": reply}, scores=False), tier="orders")


NOTHING = Ranker(weights={})


@pytest.mark.parametrize("kind", ["given", "cold"])
def test_a_planted_model_is_asked_by_the_pipeline_and_found_to_be_worth_most(
    kind: CandidateKind, choices: dict[CandidateKind, list[ChoiceSet]]
) -> None:
    model, steps = orderer(), list[int]()
    answers = ask_about(choices[kind], NOTHING, model, most=40, advance=steps.append)
    assert len(answers) == len(steps) == min(40, len(choices[kind])) > 25
    for answer, choice in zip(answers, choices[kind], strict=False):
        assert (answer.choice.user, answer.choice.p_topic_change) == (choice.user, choice.p_topic_change)
        assert set(answer.figures) == {"order", "grade", "agreement"}
        assert answer.orders
        assert {figure.shape for figure in answer.figures.values()} == {(len(choice.features),)}
        assert answer.usage.llm_calls == 2
    agreed = np.mean([answer.alone.argmax() == answer.choice.chosen for answer in answers])
    assert agreed > 0.6  # `chosen` is the row of the item that was chosen
    learned = learn_model_weights([answers], NOTHING, "orders")
    assert learned.models["orders"]["order"] + learned.models["orders"]["grade"] > 0.5
    assert gains_with_model(learned, answers, ORDERER).mean() > gains(NOTHING, [a.choice for a in answers]).mean() + 0.3


def test_a_model_that_is_asked_as_if_no_log_existed_is_told_nothing_of_one(
    choices: dict[CandidateKind, list[ChoiceSet]],
) -> None:
    prompts = {}
    for kind in ("given", "cold"):
        model = orderer()
        ask_about(choices[kind], NOTHING, model, most=10)  # type: ignore[index]
        prompts[kind] = " ".join(messages[-1]["content"] for messages in model.llm.conversations)  # type: ignore
    assert "chosen by" in prompts["given"]
    assert "chosen by" not in prompts["cold"]
    assert "also chose" not in prompts["cold"]


def test_of_the_whole_catalogue_only_choices_among_the_best_are_asked_about(
    choices: dict[CandidateKind, list[ChoiceSet]],
) -> None:
    by_next = Ranker(weights={"next_item": 1.0})
    model, config = orderer(), RankConfig(weighed=5)
    answers = ask_about(choices["retrieved"], by_next, model, most=100, config=config)
    assert 10 < len(answers) < len(choices["retrieved"])
    assert len(model.llm.conversations) == 2 * len(answers)  # type: ignore[union-attr]
    assert {len(answer.choice.features) for answer in answers} == {5}
    assert all(0 <= answer.choice.chosen < 5 for answer in answers)
    some = ask_about(choices["retrieved"], by_next, orderer(), most=3, config=config)
    assert len(some) == 3


def test_choices_that_nobody_can_be_asked_about_and_unreadable_replies_are_left_out(
    choices: dict[CandidateKind, list[ChoiceSet]],
) -> None:
    unasked = [replace(choice, asked=None) for choice in choices["given"]]
    model = orderer()
    assert ask_about(unasked, NOTHING, model, most=10) == []
    assert model.llm.conversations == []  # type: ignore[union-attr]
    assert ask_about(choices["given"], NOTHING, orderer("no idea"), most=5) == []


def test_a_model_that_reads_brings_the_figures_of_its_reading(choices: dict[CandidateKind, list[ChoiceSet]]) -> None:
    read = {"now": "They go round a ring.", "phrases": ["Thing 7", "Thing 8"], "unwanted": ["Thing 9"]}
    llm = ScriptedModel({"OrderReply": planted, "ReadReply": read}, scores=False)
    (answer,) = ask_about(choices["given"], NOTHING, ModelAccess(llm, tier="reads"), most=1)
    assert set(answer.figures) == {"order", "grade", "agreement", "phrases", "unwanted"}
    assert {figure.shape for figure in answer.figures.values()} == {(len(answer.choice.features),)}
    assert answer.usage.llm_calls == 3


def test_a_small_model_is_asked_for_likelihoods(choices: dict[CandidateKind, list[ChoiceSet]]) -> None:
    answers = ask_about(choices["cold"], NOTHING, ModelAccess(ScriptedModel()), most=3)
    assert len(answers) == 3
    for answer in answers:
        assert set(answer.figures) == {"likelihood", "prior"}
        assert not answer.orders


def test_a_model_that_cannot_be_reached_ends_the_asking(choices: dict[CandidateKind, list[ChoiceSet]]) -> None:
    def broken(messages: Sequence[Message]) -> str:
        raise ModelError("nobody answers")

    with pytest.raises(ModelError, match="nobody answers"):
        ask_about(choices["given"], NOTHING, orderer(broken), most=3)
