"""Uncertainty of a result: bootstrap intervals over users, and intervals of shares.

Users are the unit: all cases of a user are drawn together. Draws depend only on the number of users and the seed.
Every system is therefore measured on the same draws, and differences between systems are paired.

Resampling is done here rather than by scipy.stats. `scipy.stats.bootstrap` makes the same draws (a test compares
them). However, it refuses a single user, and it warns if no user of a draw has a value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 2000
"""Bootstrap draws of a mean."""
LEVEL = 0.95
MOST_AT_ONCE = 2_000_000
"""How many random numbers may be in memory at once."""


@dataclass(frozen=True)
class Interval:
    """A mean of `n` values with its 95% interval."""

    value: float
    low: float
    high: float
    n: int

    def words(self, sign: str = "") -> str:
        """Return the mean and the interval, "-" if there are no values.

        Args:
            sign: "+" shows the sign of positive numbers too.

        Example:
            >>> Interval(0.25, -0.1, 0.4, 9).words("+")
            '+0.250 [-0.100, +0.400]'
        """
        form = f"{sign}.3f"
        return f"{self.value:{form}} [{self.low:{form}}, {self.high:{form}}]" if self.n else "-"


def bootstrap_means(values: Floats, users: Ints, *, seed: int, draws: int = DRAWS) -> Floats:
    """Return bootstrap means of values over resampled users (Efron, 1979), shape (draws,).

    Args:
        values: Values, shape (n,). NaN is left out.
        users: The user of each value, numbered from 0, shape (n,).
        seed: Seed of the draws. The same seed and number of users give the same draws, whatever the values.
        draws: Number of draws.
    """
    count = int(users.max()) + 1 if len(users) else 0
    known = ~np.isnan(values)
    sums = np.bincount(users[known], weights=values[known], minlength=count).astype(np.float64)
    sizes = np.bincount(users[known], minlength=count).astype(np.float64)
    total, size = bootstrap_sums([sums, sizes], seed=seed, draws=draws)
    with np.errstate(invalid="ignore"):  # if no user of a draw has a value, its mean is NaN
        return np.asarray(total / size)


def bootstrap_sums(columns: Sequence[Floats], *, seed: int, draws: int) -> list[Floats]:
    """Return for each column its sums over resampled users, shape (draws,). A column has one value per user."""
    sums: list[list[Floats]] = [[] for _ in columns]
    for users in _resampled(len(columns[0]), seed=seed, draws=draws):
        for column, parts in zip(columns, sums, strict=True):
            parts.append(column[users].sum(axis=1))
    return [np.concatenate(parts) if parts else np.empty(0) for parts in sums]


def bootstrap_counts(count: int, *, seed: int, draws: int) -> Iterator[Ints]:
    """Return how often each of `count` users is drawn, as parts of shape (some draws, count).

    The draws are the same as in `bootstrap_sums`. Use this for a statistic that cannot be computed from sums.
    """
    for part in _resampled(count, seed=seed, draws=draws):
        yield np.stack([np.bincount(users, minlength=count) for users in part])


def _resampled(count: int, *, seed: int, draws: int) -> Iterator[Ints]:
    """Draw `count` of `count` users with replacement, as parts of shape (some draws, count).

    There are no parts if `count` is 0.
    """
    random = np.random.default_rng(seed)
    rows = max(MOST_AT_ONCE // max(count, 1), 1)
    # For a large log, all draws at once would not fit into memory. The parts hold the same numbers as one array.
    for start in range(0, draws if count else 0, rows):
        yield random.integers(0, count, size=(min(rows, draws - start), count))


def interval(values: Floats, users: Ints, *, seed: int) -> Interval:
    """Return the mean of the values with its percentile interval; NaN if there are no values."""
    n = int((~np.isnan(values)).sum())
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    return Interval(float(np.nanmean(values)), *percentile_interval(bootstrap_means(values, users, seed=seed)), n)


def percentile_interval(draws: Floats) -> tuple[float, float]:
    """Return the lower and upper end of the middle 95% of draws. NaN is left out."""
    if np.isnan(draws).all():
        return np.nan, np.nan
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def wilson(count: int, of: int) -> Interval:
    """Return a share with its 95% score interval (Wilson, 1927); NaN if `of` is 0.

    Unlike the normal interval, it has a positive width even if the share is 0 or 1.

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
