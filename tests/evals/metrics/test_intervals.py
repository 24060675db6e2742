"""Intervals cover what they claim to, and tests reject no more than they may."""

import numpy as np
import pytest

from whimbrel.evals.metrics.intervals import bootstrap_means, holm, interval, sign_flip_p


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        values = random.normal(0.3, 1, 60)
        found = interval(values, np.arange(60), seed=seed)
        covered += found.low <= 0.3 <= found.high
    assert 180 <= covered <= 199


def test_cases_of_one_user_are_drawn_together() -> None:
    values = np.repeat([0.0, 1.0], 50)
    alone = interval(values, np.arange(100), seed=0)
    together = interval(values, np.repeat([0, 1], 50), seed=0)
    assert together.high - together.low == 1
    assert alone.high - alone.low < 0.25


def test_systems_meet_the_same_draws() -> None:
    values = np.random.default_rng(0).random(40)
    users = np.arange(40) // 2
    shift = bootstrap_means(values + 0.5, users, seed=3) - bootstrap_means(values, users, seed=3)
    assert shift == pytest.approx(np.full(len(shift), 0.5))


def test_what_is_not_there_is_left_out() -> None:
    found = interval(np.array([1.0, np.nan, 3.0]), np.array([0, 1, 2]), seed=0)
    assert (found.value, found.n) == (2, 2)
    assert interval(np.array([np.nan]), np.array([0]), seed=0).n == 0


def test_the_permutation_test_rejects_differences_and_only_those() -> None:
    random = np.random.default_rng(2)
    assert sign_flip_p(random.normal(1, 1, 50), np.arange(50), seed=0) < 0.001
    null = [sign_flip_p(random.normal(0, 1, 20), np.arange(20), seed=0, flips=500) for _ in range(200)]
    assert 2 <= sum(p < 0.05 for p in null) <= 20
    assert sign_flip_p(np.zeros(5), np.arange(5), seed=0) == 1
    assert np.isnan(sign_flip_p(np.array([np.nan]), np.array([0]), seed=0))


def test_holm_is_arithmetic() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")})["a"] == pytest.approx(0.03)
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03})["b"] == pytest.approx(0.06)
    assert holm({"a": 0.9, "b": 0.8})["a"] == 1
