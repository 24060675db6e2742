"""Exposure brings up items that few people met, within a stated loss of expected accuracy."""

import numpy as np
import pytest

from whimbrel.agent.ranking.exposure import exposure


def expected_gain(scores: np.ndarray, order: np.ndarray, k: int) -> float:
    chances = np.exp(scores) / np.exp(scores).sum()
    return float(chances[order[:k]] @ (1 / np.log2(np.arange(2, k + 2))))


@pytest.mark.parametrize("given_up", [0.02, 0.1, 0.5])
def test_no_more_expected_gain_is_given_up_than_stated_and_rarer_items_are_shown(given_up: float) -> None:
    random = np.random.default_rng(3)
    people = random.integers(1, 500, 200)
    scores = 0.002 * people + random.normal(size=200)
    plain = np.argsort(-scores)
    order = np.argsort(-(scores + exposure(scores, people, k=10, given_up=given_up)), kind="stable")
    kept = expected_gain(scores, order, 10) / expected_gain(scores, plain, 10)
    assert 1 - given_up <= kept < 1
    assert people[order[:10]].mean() < people[plain[:10]].mean()


def test_nothing_is_given_up_for_nothing_and_all_for_all() -> None:
    scores, people = np.array([3.0, 2.0, 1.0]), np.array([9, 5, 1])
    assert np.argsort(-(scores + exposure(scores, people, k=2, given_up=0.0))).tolist() == [0, 1, 2]
    assert np.argsort(-(scores + exposure(scores, people, k=2, given_up=1.0))).tolist() == [2, 1, 0]
    assert not exposure(scores, np.array([4, 4, 4]), k=2, given_up=0.5).any()
    assert not exposure(np.array([1.0]), np.array([4]), k=2, given_up=0.5).any()
