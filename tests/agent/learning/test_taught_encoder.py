"""A text encoder taught by a log: items that people choose together are near, also those that nobody chose yet."""

import sys

import numpy as np
import pytest

from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.learning.taught_encoder import LEAST_STEPS, Steps, TeachConfig, require_torch, teach
from whimbrel.agent.learning.taught_worth import TaughtWorth
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory

WORDS = ["copper", "violet", "harbor", "thunder", "meadow", "lantern", "saddle", "mirror"]
PARTNER = dict(zip(WORDS[:4], WORDS[4:], strict=True)) | dict(zip(WORDS[4:], WORDS[:4], strict=True))
"""People choose things of one word and of its partner, whose meanings have nothing to do with each other."""
ITEMS = [Item(item_id=f"{word} {number:02}", title=f"{word} number {number}") for word in WORDS for number in range(12)]
UNMET = {item.item_id for item in ITEMS if item.item_id.endswith("11")}
CONFIG = TeachConfig(epochs=4, epoch_steps=20_000, dimensions=32)


def rows_of(users: int, *, seed: int = 0) -> list[EventRow]:
    random, rows, time = np.random.default_rng(seed), list[EventRow](), 0.0
    for user in range(users):
        word = str(random.choice(WORDS))
        pool = [f"{of} {number:02}" for of in (word, PARTNER[word]) for number in range(11)]
        for item_id in random.choice(pool, 10, replace=False):
            rows.append((time := time + 60.0, f"u{user:04}", str(item_id), None))
    return rows


def catalogue_of(rows: list[EventRow]) -> InMemory:
    return InMemory(ITEMS, InteractionLog.build(ITEMS, rows), timed=True)


def test_titles_of_items_that_go_together_are_near_also_of_those_that_nobody_chose() -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'whimbrel[tune]'")
    catalogue = catalogue_of(rows_of(400))
    taught = teach(catalogue, config=CONFIG)
    assert taught is not None
    assert taught.item_ids == catalogue.log.item_ids
    assert np.linalg.norm(taught.vectors, axis=1) == pytest.approx(np.ones(len(ITEMS)), abs=1e-5)
    frozen = np.stack(list(catalogue.item_vectors(taught.item_ids).values()))
    word = np.array([item_id.split()[0] for item_id in taught.item_ids])
    cold = np.array([item_id in UNMET for item_id in taught.item_ids])
    together = np.array([[PARTNER[a] == b for b in word] for a in word[cold]])
    others = np.array([[b not in (a, PARTNER[a]) for b in word] for a in word[cold]])
    near = taught.vectors[cold] @ taught.vectors.T
    before = frozen[cold] @ frozen.T
    assert near[together].mean() > near[others].mean() + 0.3
    assert before[together].mean() < before[others].mean() + 0.1


def test_an_encoder_is_taught_by_the_events_before_the_moment_alone() -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'whimbrel[tune]'")
    rows = rows_of(500)
    cut = rows[len(rows) * 3 // 4][0]
    config = TeachConfig(epochs=1, epoch_steps=10_000, dimensions=16)
    past = [row for row in rows if row[0] < cut]
    short, whole = (teach(catalogue_of(events), before=cut, config=config) for events in (past, rows))
    assert short is not None
    assert whole is not None
    assert np.array_equal(short.vectors, whole.vectors)
    assert past[-1][0] < whole.until <= cut


def test_a_short_log_teaches_nothing() -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'whimbrel[tune]'")
    rows = rows_of(200)
    assert len(Steps.of(InteractionLog.build(ITEMS, rows), np.inf)) == 1800 < LEAST_STEPS
    assert teach(catalogue_of(rows), config=CONFIG) is None


def test_a_history_has_the_latest_items_first_and_weights_that_add_up_to_1() -> None:
    rows: list[EventRow] = [(float(time), "u", ITEMS[time].item_id, None) for time in range(3)]
    steps = Steps.of(InteractionLog.build(ITEMS, [*rows, (0.0, "v", ITEMS[5].item_id, None)]), np.inf)
    assert steps.positions.tolist() == [1, 2]
    items, weights = steps.histories(steps.positions)
    order = InteractionLog.build(ITEMS, []).rows([item.item_id for item in ITEMS[:3]])
    assert items[1, :2].tolist() == [order[1], order[0]]
    later = 0.5 ** (1 / 3)
    assert weights[1, :3].tolist() == pytest.approx([1 / (1 + later), later / (1 + later), 0])
    assert weights[0, :2].tolist() == [1, 0]


def test_without_pytorch_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConfigError, match=r"pip install 'whimbrel\[tune\]'"):
        require_torch()


@pytest.mark.parametrize("helps", [True, False])
def test_an_encoder_is_kept_only_if_held_out_people_surely_gain(helps: bool) -> None:
    random, sets = np.random.default_rng(0), []
    for number in range(300):
        features = np.zeros((20, len(FEATURES)))
        features[:, [FEATURES.index("similarity"), FEATURES.index("taught")]] = random.normal(size=(20, 2))
        chosen = int(np.argmax(features[:, FEATURES.index("taught" if helps else "similarity")]))
        sets.append(ChoiceSet(f"u{number % 100}", features, chosen))
    worth = TaughtWorth.of(sets, Ranker(weights={}))
    assert worth.is_kept == helps
    assert worth.n == 300
    assert worth.without > 0.9 if not helps else worth.gain > 0.4
    assert ("so it is used" if helps else "not used") in worth.words()
