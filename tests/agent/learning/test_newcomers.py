"""New people: what is learned of them, and how it gives way to what is learned of all others."""

import numpy as np
import pytest

from whimbrel.agent.learning.choice_sets import LEAST_EVENTS, training_queries
from whimbrel.agent.learning.ranking import LEAST_CHOICES, ChoiceSet, learn_newcomers
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import FEW_EVENTS, Ranker, new_share
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory

POPULAR = FEATURES.index("popularity")
OF_ALL = Ranker(weights={"popularity": -1.0, "next_item": 2.0})
START = Ranker(weights={"popularity": -0.5}, moving={"popularity": 0.1})


def choices(count: int) -> list[ChoiceSet]:
    """Choices of new people, most of whom take the most popular of ten candidates."""
    random, sets = np.random.default_rng(0), []
    for number in range(count):
        features = random.standard_normal((10, len(FEATURES)))
        chosen = int(np.argmax(features[:, POPULAR])) if random.random() < 0.8 else int(random.integers(10))
        sets.append(ChoiceSet(f"u{number % 60}", features, chosen, known=number % 3))
    return sets


def test_new_people_get_the_popular_and_others_what_was_learned_of_all() -> None:
    ranker = learn_newcomers(choices(3 * LEAST_CHOICES), OF_ALL, START, few=5)
    assert ranker.new["popularity"] > 0.5
    assert (ranker.weights, ranker.moving) == (OF_ALL.weights, OF_ALL.moving)
    features = np.zeros((2, len(FEATURES)))
    features[0, POPULAR] = 1
    assert ranker(features, known=0)["popularity"][0] == pytest.approx(ranker.new["popularity"])
    of_two = ranker(features, known=2)["popularity"][0]
    assert of_two == pytest.approx(0.6 * ranker.new["popularity"] - 0.4)
    assert ranker(features, known=5)["popularity"][0] == -1.0
    assert ranker(features)["popularity"][0] == -1.0
    assert new_share(0, 2) == 1 > new_share(1, 2) > new_share(2, 2) == new_share(100, 2) == 0


def test_too_few_choices_keep_what_learning_began_with() -> None:
    assert learn_newcomers(choices(LEAST_CHOICES - 1), OF_ALL, START, few=5).new == {"popularity": -0.2}
    known = START.model_copy(update={"new": {"age": 0.5}})
    assert learn_newcomers([], OF_ALL, known, few=2).new == {"age": 0.5}


def test_queries_of_newcomers_are_their_first_events_after_the_warm_up() -> None:
    items = [Item(item_id=str(n), title=f"Thing {n}") for n in range(40)]
    events = [(float(n), f"u{n % 4}", str(n % 40), None) for n in range(40)]
    events += [(40.0 + n, f"new {n % 4}", str(n // 4), None) for n in range(40)]
    catalogue = InMemory(items, InteractionLog.build(items, events), timed=True)
    drawn = list(training_queries(catalogue, most=1000, warm_up=0.5, newcomers=True))
    assert {query.user for query in drawn} == {f"new {n}" for n in range(4)}
    assert {len(query.history) for query in drawn} <= set(range(max(FEW_EVENTS.values())))
    usual = list(training_queries(catalogue, most=1000, warm_up=0.5))
    assert min(len(query.history) for query in usual) >= LEAST_EVENTS
