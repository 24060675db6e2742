"""Boundaries learned in one domain and found in another."""

import json
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.language_models.protocol import NO_USAGE, Likelihoods
from whimbrel.agent.learning.cases import BoundaryCase
from whimbrel.agent.profile.segment import FEATURES, LEARNED, spread_of, switch_features, switch_probabilities
from whimbrel.evals.studies.cross_domain import (
    Domain,
    best_threshold,
    domain_of,
    find,
    learn,
    markdown,
    measure_transfer,
    read_domain,
    title_gains,
)
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Item

DATA = Path(os.environ.get("WHIMBREL_DATA", "../shared/data")) / "bundle-intents"
FOOD = {"Tea": ["Green tea", "Black tea", "Mint tea"], "Bread": ["Rye bread", "Wheat bread", "Corn bread"]}
GARDEN = {"Hoses": ["Garden hose", "Steel hose", "Long hose"], "Pots": ["Clay pot", "Flower pot", "Iron pot"]}


def sessions(name: str, shelves: dict[str, list[str]], count: int = 30) -> list[BoundaryCase]:
    """Runs of one shelf after another, their labels what shelf an item came from, one pair in ten the other way."""
    random_ = random.Random(name)
    cases = []
    for number in range(count):
        drawn = [random_.choice(list(shelves)) for _ in range(5)]
        items = [
            Item(item_id=f"{n}", title=random_.choice(shelves[shelf]), topics=(f"{name},{shelf}",))
            for n, shelf in enumerate(drawn)
        ]
        switch = tuple((first != second) != (random_.random() < 0.1) for first, second in pairwise(drawn))
        cases.append(BoundaryCase(f"{name}{number}", f"{name}{number}", tuple(items), (*switch[:-1], None)))
    return cases


def written(path: Path, cases: list[BoundaryCase]) -> Path:
    path.write_text(
        "".join(
            json.dumps(
                {
                    "case_id": case.case_id,
                    "items": [{"item_id": i.item_id, "title": i.title, "topics": list(i.topics)} for i in case.items],
                    "switch": list(case.switch),
                }
            )
            + "\n"
            for case in cases
        )
    )
    return path


@pytest.fixture(scope="module")
def food() -> Domain:
    return domain_of("food", sessions("food", FOOD))


@pytest.fixture(scope="module")
def garden() -> Domain:
    return domain_of("garden", sessions("garden", GARDEN))


def test_what_is_learned_in_one_domain_is_found_in_the_other(food: Domain, garden: Domain) -> None:
    transfer = measure_transfer(food, garden, seed=0)
    assert transfer["labelled pairs"] == 30 * 3
    assert list(transfer["system"]) == ["always", "topic-change", "similarity", "whimbrel"]
    assert transfer["system"]["whimbrel"]["f1"] > transfer["system"]["always"]["f1"]
    assert transfer["system"]["whimbrel"]["average_precision"] > 0.8
    low, high = transfer["system"]["whimbrel"]["f1_ci"]
    assert low <= transfer["system"]["whimbrel"]["f1"] <= high


def test_no_label_of_the_domain_tested_on_is_read(food: Domain, garden: Domain) -> None:
    turned = Domain(**{**vars(garden), "truth": ~garden.truth})
    segmenter = learn(food)
    assert np.array_equal(find(garden, segmenter), find(turned, segmenter))
    true_labels, turned_labels = (
        measure_transfer(food, domain, seed=0)["system"]["whimbrel"] for domain in (garden, turned)
    )
    assert true_labels["threshold"] == turned_labels["threshold"]
    assert true_labels["precision"] + turned_labels["precision"] == pytest.approx(1)


def test_the_best_threshold_is_the_best_of_all() -> None:
    truth = np.array([True, True, False, True, False])
    probability = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    # yes from .9: 2*1/(1+3), from .8: 2*2/(2+3), from .7: 2*2/(3+3), from .6: 2*3/(4+3), from .1: 2*3/(5+3)
    assert best_threshold(truth, probability) == 0.6


class Counting:
    """Each letter of a title costs a nat, half a nat behind a session that held the title's last word."""

    def count_tokens(self, text: str) -> int:
        return len(text)

    def log_likelihood(self, prompt: str, continuations: list[str]) -> Likelihoods:
        return Likelihoods(
            [-len(text) * (0.5 if text.split()[-1] in prompt else 1.0) for text in continuations], NO_USAGE
        )


def test_likelihoods_are_a_row_of_their_own(food: Domain, garden: Domain) -> None:
    known = title_gains(Counting(), food.cases[0])  # type: ignore[arg-type]
    assert known.shape == (4,)
    assert np.isnan(known[3])
    with_food, with_garden = (
        domain_of(d.name, d.cases, [title_gains(Counting(), case) for case in d.cases])  # type: ignore[arg-type]
        for d in (food, garden)
    )
    systems = measure_transfer(with_food, with_garden, seed=0)["system"]
    assert list(systems)[-1] == "whimbrel with likelihoods"
    assert systems["whimbrel"] == measure_transfer(food, garden, seed=0)["system"]["whimbrel"]


def test_the_command_prints_a_table_or_a_document(tmp_path: Path) -> None:
    paths = [written(tmp_path / "food.jsonl", sessions("food", FOOD, 8))]
    paths.append(written(tmp_path / "garden.jsonl", sessions("garden", GARDEN, 8)))
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "eval", "cross-domain", *map(str, paths)]
    out = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
    document = json.loads(out)
    assert [transfer["tested on"] for transfer in document["transfer"]] == ["garden", "food"]
    assert "| whimbrel | 24 |" in markdown(document)
    wrong = subprocess.run([*command[:-1], "/no/file.jsonl"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("whimbrel: cases '/no/file.jsonl' cannot be read")


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    bare = [BoundaryCase(c.case_id, c.user_id, c.items, (None,) * 4) for c in sessions("food", FOOD, 2)]
    with pytest.raises(DataError, match="has no labelled pair"):
        read_domain(written(tmp_path / "food.jsonl", bare))


def test_features_compare_neighbours_with_the_session() -> None:
    alike = np.array([[1, 0.2, 0.9, 0.1], [0.2, 1, 0.3, 0.8], [0.9, 0.3, 1, 0.4], [0.1, 0.8, 0.4, 1]])
    first = switch_features(alike)[0]
    # neighbours .2; item 0 is nearest to item 2 (.9), item 1 to item 3 (.8); |.9 - .3| and |.1 - .8| apart
    assert first == pytest.approx([0.2, 0.9, 0.8, (0.2 + 0.9 + 0.1 + 0.3 + 0.8 + 0.4) / 6, (0.6 + 0.7) / 2])
    assert switch_features(alike[:1, :1]).shape == (0, len(FEATURES))
    assert switch_features(alike[:2, :2])[0] == pytest.approx([0.2, 0.2, 0.2, 0.2, 0])


def test_few_sessions_hardly_move_the_spread_and_none_not_at_all() -> None:
    assert spread_of([]) == LEARNED.spread
    case = sessions("food", FOOD, 1)[0]
    of_one, of_many = spread_of([case.items]), spread_of([case.items] * 500)
    alone = np.abs(np.subtract(of_one.mean, LEARNED.spread.mean))
    assert np.all(alone <= np.abs(np.subtract(of_many.mean, LEARNED.spread.mean)) + 1e-12)
    assert np.all(np.array(of_many.deviation) > 0)


def test_items_without_topics_have_probabilities() -> None:
    items = [Item(item_id=str(n), title=title) for n, title in enumerate(["Green tea", "Black tea", "Garden hose"])]
    assert np.all(np.isfinite(switch_probabilities(items)))
    assert switch_probabilities(items[:1]).shape == (0,)
    assert switch_probabilities([]).shape == (0,)


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the labelled sessions are not here")
def test_real_sessions_are_ordered_better_than_by_titles() -> None:
    clothing, electronic = (read_domain(DATA / f"{name}.jsonl") for name in ("clothing", "electronic"))
    systems = measure_transfer(clothing, electronic, seed=0)["system"]
    assert systems["whimbrel"]["average_precision"] > systems["similarity"]["average_precision"]
