"""Uncertainty of a figure: bootstrap intervals over users, permutation tests, and corrections for many tests.

Users are the unit: all cases of a user are drawn together. Draws depend on the number of users and the seed alone, so
every system meets the same draws and differences between systems are paired.

Resampling is done here rather than by scipy.stats. Its `bootstrap` has the same draws (a test compares them), but it
refuses a single user, and warns of draws in which no user has a value. Its `permutation_test` flips signs by other
draws, which would change every published p.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 2000
"""Bootstrap draws of a mean."""
FLIPS = 10_000
"""Draws of a permutation test, so that its p is at least 0.0001."""
LEVEL = 0.95
MOST_AT_ONCE = 2_000_000
"""Random numbers in memory at once."""
ROUNDING = 1e-12
"""A sum this much below the observed one still counts as equal."""


@dataclass(frozen=True)
class Interval:
    """A mean of `n` values with its 95% interval."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_means(values: Floats, users: Ints, *, seed: int, draws: int = DRAWS) -> Floats:
    """Return means of the values of resampled users (Efron, 1979), shape (draws,).

    Args:
        values: Values, shape (n,). NaN is left out.
        users: The user of each value, numbered from 0, shape (n,).
        seed: Seed of the draws. Equal users and seed give equal draws, whatever the values.
        draws: Number of draws.
    """
    count = int(users.max()) + 1 if len(users) else 0
    known = ~np.isnan(values)
    sums = np.bincount(users[known], weights=values[known], minlength=count).astype(np.float64)
    sizes = np.bincount(users[known], minlength=count).astype(np.float64)
    total, size = bootstrap_sums([sums, sizes], seed=seed, draws=draws)
    with np.errstate(invalid="ignore"):  # a draw of users without values has the mean NaN
        return np.asarray(total / size)


def bootstrap_sums(columns: Sequence[Floats], *, seed: int, draws: int) -> list[Floats]:
    """Return sums over resampled users, shape (draws,), for each column of one value per user."""
    sums: list[list[Floats]] = [[] for _ in columns]
    for users in _resampled(len(columns[0]), seed=seed, draws=draws):
        for column, parts in zip(columns, sums, strict=True):
            parts.append(column[users].sum(axis=1))
    return [np.concatenate(parts) if parts else np.empty(0) for parts in sums]


def bootstrap_counts(count: int, *, seed: int, draws: int) -> Iterator[Ints]:
    """Return how often each of `count` users is drawn, as parts of shape (some draws, count).

    The draws are those of `bootstrap_sums`, for a statistic that is not made of sums over users.
    """
    for part in _resampled(count, seed=seed, draws=draws):
        yield np.stack([np.bincount(users, minlength=count) for users in part])


def _resampled(count: int, *, seed: int, draws: int) -> Iterator[Ints]:
    """Draw `count` of `count` users with replacement, as parts of shape (some draws, count). None if `count` is 0."""
    random = np.random.default_rng(seed)
    rows = max(MOST_AT_ONCE // max(count, 1), 1)
    # All draws at once would not fit into memory for a large log. The parts have the same numbers as one array.
    for start in range(0, draws if count else 0, rows):
        yield random.integers(0, count, size=(min(rows, draws - start), count))


def interval(values: Floats, users: Ints, *, seed: int) -> Interval:
    """Return the mean over cases with its percentile interval; NaN if there is no value."""
    n = int((~np.isnan(values)).sum())
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    return Interval(float(np.nanmean(values)), *percentile_interval(bootstrap_means(values, users, seed=seed)), n)


def percentile_interval(draws: Floats) -> tuple[float, float]:
    """Return the ends of the middle 95% of draws. NaN is left out."""
    if np.isnan(draws).all():
        return np.nan, np.nan
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def sign_flip_p(differences: Floats, users: Ints, *, seed: int, flips: int = FLIPS) -> float:
    """Return the two-sided p of the hypothesis that the mean difference is 0 (Fisher, 1935).

    Each user's mean difference gets a random sign.

    Args:
        differences: Differences, shape (n,). NaN is left out.
        users: The user of each difference, shape (n,).
        seed: Seed of the signs.
        flips: Number of draws.

    Returns:
        A p above 0; NaN if there is no difference to test.
    """
    known = ~np.isnan(differences)
    if not known.any():
        return np.nan
    # Users without a difference are left out, so that the others are numbered anew.
    _, numbered = np.unique(users[known], return_inverse=True)
    per_user = np.bincount(numbered, weights=differences[known]) / np.bincount(numbered)
    # The sum has the same order as the mean, and the signs leave the number of users as it is.
    observed = abs(per_user.sum()) - ROUNDING
    random = np.random.default_rng(seed)
    rows = max(MOST_AT_ONCE // len(per_user), 1)
    as_extreme = 0
    for start in range(0, flips, rows):
        signs = random.integers(0, 2, size=(min(rows, flips - start), len(per_user)), dtype=np.int8) * 2 - 1
        as_extreme += int((np.abs(signs @ per_user) >= observed).sum())
    # The observed signs are one of the possible draws, so p is never 0.
    return (as_extreme + 1) / (flips + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for their number (Holm, 1979). NaN stays NaN and does not count.

    Example:
        >>> holm({"a": 0.01, "b": 0.04})  # 2 * 0.01, 1 * 0.04
        {'a': 0.02, 'b': 0.04}
    """
    from statsmodels.stats.multitest import multipletests

    known = [name for name, p in p_values.items() if not np.isnan(p)]
    if not known:
        return dict(p_values)
    adjusted = multipletests([p_values[name] for name in known], method="holm")[1]
    return dict(p_values) | dict(zip(known, adjusted.tolist(), strict=True))


def wilson(count: int, of: int) -> Interval:
    """Return a share with its 95% score interval (Wilson, 1927); NaN if `of` is 0.

    Unlike the normal interval it has a width even if the share is 0 or 1.

    Example:
        >>> share = wilson(10, 10)
        >>> share.value, round(share.low, 3), round(share.high, 3)
        (1.0, 0.722, 1.0)
    """
    from statsmodels.stats.proportion import proportion_confint

    if not of:
        return Interval(np.nan, np.nan, np.nan, 0)
    low, high = proportion_confint(count, of, alpha=1 - LEVEL, method="wilson")
    # Rounding can move an end out of [0, 1] by 1e-17.
    return Interval(count / of, max(float(low), 0.0), min(float(high), 1.0), of)
