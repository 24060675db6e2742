"""Metrics against libraries that measure the same, where the conventions match, and against arithmetic where not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whimbrel.evals.metrics import binary, lists, ranking
from whimbrel.evals.metrics.decisions import DRAWS, average_precision_draws, measure_decisions
from whimbrel.tools.records import Item

SCORES = st.lists(st.floats(-5, 5, allow_nan=False), min_size=2, max_size=30, unique=True)


@st.composite
def judged(draw: st.DrawFn) -> tuple[NDArray[np.float64], list[int]]:
    scores = np.array(draw(SCORES))
    relevant = draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    return scores, sorted(relevant)


@settings(deadline=None, max_examples=60)
@given(judged())
def test_ranking_metrics_are_those_of_trec_eval(case: tuple[NDArray[np.float64], list[int]]) -> None:
    import pytrec_eval

    scores, relevant = case
    scores = scores.argsort().argsort().astype(np.float64)  # trec_eval reads floats of 32 bits
    ranks = ranking.mean_ranks(scores)[relevant].tolist()
    asked = {"ndcg_cut.5,10", "recip_rank", "map", "success.1,5", "recall.10", "P.5"}
    judge = pytrec_eval.RelevanceEvaluator({"q": {str(row): 1 for row in relevant}}, asked)
    theirs = judge.evaluate({"q": {str(row): float(score) for row, score in enumerate(scores)}})["q"]
    ours = {
        "ndcg_cut_5": ranking.ndcg_at_k(ranks, k=5),
        "ndcg_cut_10": ranking.ndcg_at_k(ranks, k=10),
        "recip_rank": ranking.mrr(ranks),
        "map": ranking.average_precision(ranks),
        "success_1": ranking.hit_rate_at_k(ranks, k=1),
        "success_5": ranking.hit_rate_at_k(ranks, k=5),
        "recall_10": ranking.recall_at_k(ranks, k=10),
        "P_5": ranking.precision_at_k(ranks, k=5),
    }
    assert ours == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=30), st.data())
def test_auc_is_that_of_scikit_learn_with_ties(values: list[int], data: st.DataObject) -> None:
    from sklearn.metrics import roc_auc_score

    truth = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))))
    ranks = ranking.mean_ranks(np.array(values, dtype=np.float64))[truth].tolist()
    ours = ranking.auc(ranks, candidates=len(values))
    if truth.all() or not truth.any():
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(roc_auc_score(truth, values))


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=50))
def test_binary_metrics_are_arithmetic(pairs: list[tuple[bool, int]]) -> None:
    truth = np.array([label for label, _ in pairs])
    probability = np.array([value / 10 for _, value in pairs])
    decided = probability >= 0.5
    hits, wrong, missed = (decided & truth).sum(), (decided & ~truth).sum(), (~decided & truth).sum()
    assert binary.accuracy(truth, probability) == pytest.approx(np.mean(decided == truth))
    assert binary.brier(truth, probability) == pytest.approx(np.mean((probability - truth) ** 2))
    assert binary.precision(truth, probability) == pytest.approx(hits / (hits + wrong) if hits + wrong else 0)
    if truth.any():
        assert binary.recall(truth, probability) == pytest.approx(hits / (hits + missed))
        assert binary.f1(truth, probability) == pytest.approx(2 * hits / (2 * hits + wrong + missed))
        area, before = 0.0, 0
        for step in np.unique(probability)[::-1]:
            hits_so_far = (truth & (probability >= step)).sum()
            area += (hits_so_far - before) / truth.sum() * hits_so_far / (probability >= step).sum()
            before = hits_so_far
        assert binary.average_precision(truth, probability) == pytest.approx(area)
    else:
        for metric in (binary.recall, binary.f1, binary.average_precision):
            assert math.isnan(metric(truth, probability))


def test_no_decision_has_no_metric_but_precision() -> None:
    nothing = binary.all_of(np.zeros(0, dtype=bool), np.zeros(0))
    assert nothing.pop("precision") == 0
    assert all(math.isnan(value) for value in nothing.values())


def test_the_reliability_diagram_is_that_of_scikit_learn_off_the_edges_of_bins() -> None:
    from sklearn.calibration import calibration_curve

    random = np.random.default_rng(0)
    probability = random.random(500)
    truth = random.random(500) < probability
    observed, predicted = calibration_curve(truth, probability, n_bins=10)
    points = binary.reliability(truth, probability)
    assert [point[0] for point in points] == pytest.approx(predicted.tolist())
    assert [point[1] for point in points] == pytest.approx(observed.tolist())
    assert sum(point[2] for point in points) == 500
    ((mean, _, count),) = binary.reliability(np.array([True]), np.array([0.1]))
    assert (mean, count) == (0.1, 1)
    assert len(binary.reliability(np.array([True, True]), np.array([0.1, 0.15]))) == 1  # the edge is of the higher bin


def test_intervals_of_decisions_are_those_of_the_metrics_of_each_draw() -> None:
    random = np.random.default_rng(0)
    group_of = np.sort(np.concatenate([np.arange(40), random.integers(0, 40, 160)]))
    groups = [np.flatnonzero(group_of == number) for number in range(40)]
    probability = np.round(random.random(200), 1)
    truth = random.random(200) < 0.3
    drawn = np.random.default_rng(5)
    draws: dict[str, list[float]] = {}
    for _ in range(DRAWS):
        rows = np.concatenate([groups[number] for number in drawn.integers(0, 40, 40)])
        for metric, value in binary.all_of(truth[rows], probability[rows], threshold=0.4).items():
            draws.setdefault(metric, []).append(value)
    document = measure_decisions(truth, probability, groups, seed=5, threshold=0.4)
    for metric in ("accuracy", "precision", "recall", "f1", "average_precision", "brier"):
        low, high = np.nanpercentile(draws[metric], [2.5, 97.5])
        assert document[f"{metric}_ci"] == pytest.approx([low, high], abs=1e-9), metric


def test_a_draw_without_positives_has_no_average_precision() -> None:
    groups = [np.array([0]), np.array([1])]
    draws = average_precision_draws(np.array([True, False]), np.array([0.2, 0.8]), groups, seed=0)
    # Both: the positive is second, 1/2. The positive twice: 1. The negative twice: none.
    assert set(draws[~np.isnan(draws)].tolist()) == {0.5, 1.0}
    assert 0 < np.isnan(draws).mean() < 1


def test_ties_take_their_mean_rank() -> None:
    ranks = ranking.mean_ranks(np.array([1.0, 3.0, 1.0, 1.0, 0.0]))
    assert ranks.tolist() == [3, 1, 3, 3, 5]
    assert ranking.mrr([3.0]) == pytest.approx(1 / 3)
    assert ranking.ndcg_at_k([3.0], k=5) == pytest.approx(1 / math.log2(4))


def test_an_empty_truth_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in ranking.all_of([], candidates=9).values())


def test_calibration_error_is_the_mean_distance_of_what_was_said_from_what_came() -> None:
    truth = np.array([True, False, True, True])
    probability = np.array([0.15, 0.15, 0.95, 0.95])
    assert binary.expected_calibration_error(truth, probability) == pytest.approx((0.35 * 2 + 0.05 * 2) / 4)


def test_what_a_list_is_like() -> None:
    def item(name: str, *topics: str) -> Item:
        return Item(item_id=name, title=name, topics=topics)

    top = [item("a", "x"), item("b", "y")]
    assert lists.diversity(top) == 1
    assert lists.diversity([top[0], item("c", "x")]) == 0
    assert lists.miscalibration(top, history=top) == pytest.approx(0)
    assert lists.miscalibration([top[0]], history=[top[1]]) == pytest.approx(1)
    popularity = {"a": 3, "b": 0}
    assert lists.novelty([top[0]], popularity=popularity, interactions=5) == pytest.approx(-math.log2(4 / 8))
    assert lists.popularity_bias([top[0]], popularity=popularity, history=[top[1]]) == pytest.approx(math.log(4))


def test_miscalibration_is_the_divergence_from_the_mean_of_both() -> None:
    def items(*topics: str) -> list[Item]:
        return [Item(item_id=str(n), title="t", topics=(topic,)) for n, topic in enumerate(topics)]

    # Shares 3/4 and 1/4 against 1/4 and 3/4; their mean is 1/2 each.
    divergence = 0.75 * math.log2(0.75 / 0.5) + 0.25 * math.log2(0.25 / 0.5)
    listed, history = items("x", "x", "x", "y"), items("x", "y", "y", "y")
    assert lists.miscalibration(listed, history=history) == pytest.approx(divergence, abs=1e-12)
    assert math.isnan(lists.miscalibration(listed, history=[]))
