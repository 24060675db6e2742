"""Intervals cover what they claim to, tests reject no more than they may, and libraries agree."""

import numpy as np
import pytest
from scipy import stats

from whimbrel.evals.metrics.intervals import bootstrap_counts, bootstrap_means, interval, wilson
from whimbrel.evals.metrics.significance import holm, sign_flip_p


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for seed in range(200):
        values = random.normal(0.3, 1, 60)
        mean = interval(values, np.arange(60), seed=seed)
        covered += mean.low <= 0.3 <= mean.high
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


def test_draws_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).random(40)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=300, batch=300, method="percentile", rng=7)
    ours = bootstrap_means(values, np.arange(40), seed=7, draws=300)
    assert ours == pytest.approx(theirs.bootstrap_distribution, abs=1e-12)


def test_counts_are_those_of_the_same_draws() -> None:
    values = np.random.default_rng(0).random(40)
    counts = np.concatenate(list(bootstrap_counts(40, seed=7, draws=300)))
    assert counts.sum(axis=1).tolist() == [40] * 300
    assert counts @ values / 40 == pytest.approx(bootstrap_means(values, np.arange(40), seed=7, draws=300))


def test_missing_values_are_left_out() -> None:
    mean = interval(np.array([1.0, np.nan, 3.0]), np.array([0, 1, 2]), seed=0)
    assert (mean.value, mean.n) == (2, 2)
    assert interval(np.array([np.nan]), np.array([0]), seed=0).n == 0


def test_one_user_has_no_spread() -> None:
    mean = interval(np.array([1.0, 2.0]), np.array([0, 0]), seed=0)
    assert (mean.low, mean.value, mean.high) == (1.5, 1.5, 1.5)


def test_the_permutation_test_rejects_differences_and_only_those() -> None:
    random = np.random.default_rng(2)
    assert sign_flip_p(random.normal(1, 1, 50), np.arange(50), seed=0) < 0.001
    null = [sign_flip_p(random.normal(0, 1, 20), np.arange(20), seed=0, flips=500) for _ in range(200)]
    assert 2 <= sum(p < 0.05 for p in null) <= 20
    assert sign_flip_p(np.zeros(5), np.arange(5), seed=0) == 1
    assert np.isnan(sign_flip_p(np.array([np.nan]), np.array([0]), seed=0))


def test_the_permutation_test_agrees_with_scipys_exact_one() -> None:
    differences = np.random.default_rng(4).normal(0.3, 1, 12)
    exact = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue
    # The standard error of 10,000 flips is below 0.005.
    assert sign_flip_p(differences, np.arange(12), seed=0) == pytest.approx(exact, abs=0.015)


def test_holm_is_arithmetic() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")})
    assert adjusted["a"] == pytest.approx(0.03)
    assert np.isnan(adjusted["d"])
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03})["b"] == pytest.approx(0.06)
    assert holm({"a": 0.9, "b": 0.8})["a"] == 1
    assert holm({}) == {}


def test_holm_multiplies_by_how_many_are_left() -> None:
    p_values = {f"t{n}": float(p) for n, p in enumerate(np.random.default_rng(0).random(20) ** 3)}
    highest, expected = 0.0, {}
    for rank, (p, name) in enumerate(sorted((p, name) for name, p in p_values.items())):
        highest = expected[name] = max(highest, min(1.0, p * (20 - rank)))
    assert holm(p_values) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("count", "of"), [(0, 1), (0, 40), (3, 40), (40, 40), (531, 700)])
def test_the_score_interval_is_wilsons(count: int, of: int) -> None:
    z, share = stats.norm.ppf(0.975), count / of
    middle, half = share + z**2 / (2 * of), z * (share * (1 - share) / of + z**2 / (4 * of**2)) ** 0.5
    mean = wilson(count, of)
    assert (mean.value, mean.n) == (share, of)
    assert mean.low == pytest.approx((middle - half) / (1 + z**2 / of), abs=1e-9)
    assert mean.high == pytest.approx((middle + half) / (1 + z**2 / of), abs=1e-9)


def test_a_share_of_nothing_is_not_a_number() -> None:
    assert np.isnan(wilson(0, 0).value)
