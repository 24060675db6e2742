"""How sure a figure is: paired bootstrap over users, sign-flip permutation tests, Holm's correction.

Users are the unit: cases of one user are drawn together. Every system meets the same draws, so differences are paired.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2000
FLIPS = 10_000
LEVEL = 0.95
_CHUNK = 2_000_000
"""Random numbers held at once."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval."""

    value: float
    low: float
    high: float
    n: int


def bootstrap_means(values: Floats, users: NDArray[np.int64], *, seed: int, draws: int = DRAWS) -> Floats:
    """Means of resampled users (Efron, 1979), shape (draws,). `values` may hold NaN, which is left out.

    `users` numbers the users from 0, shape as `values`. Equal users and seed give equal draws whatever the values.
    """
    count = int(users.max()) + 1 if len(users) else 0
    there = ~np.isnan(values)
    sums = np.bincount(users[there], weights=values[there], minlength=count)
    sizes = np.bincount(users[there], minlength=count).astype(np.float64)
    random = np.random.default_rng(seed)
    means = []
    rows = max(_CHUNK // max(count, 1), 1)
    for start in range(0, draws, rows):
        drawn = random.integers(0, count, size=(min(rows, draws - start), count))
        with np.errstate(invalid="ignore"):
            means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means) if means else np.empty(0)


def interval(values: Floats, users: NDArray[np.int64], *, seed: int) -> Interval:
    """Mean over cases with its percentile interval; NaN throughout where there is nothing."""
    n = int((~np.isnan(values)).sum())
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    return Interval(float(np.nanmean(values)), *spread(bootstrap_means(values, users, seed=seed)), n)


def spread(draws: Floats) -> tuple[float, float]:
    """The middle 95% of draws."""
    if np.isnan(draws).all():
        return np.nan, np.nan
    tail = (1 - LEVEL) / 2 * 100
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.int64]], float], groups: Sequence[NDArray[np.int64]], *, seed: int, draws: int = 500
) -> Floats:
    """Draws of a statistic that is no mean (F1, say): `statistic` gets the rows of the resampled groups."""
    random = np.random.default_rng(seed)
    return np.array(
        [
            statistic(np.concatenate([groups[number] for number in random.integers(0, len(groups), len(groups))]))
            for _ in range(draws)
        ]
    )


def sign_flip_p(differences: Floats, users: NDArray[np.int64], *, seed: int, flips: int = FLIPS) -> float:
    """Two-sided p of a mean difference of 0, each user's mean difference taken with a random sign (Fisher, 1935).

    NaN where there is no difference to test.
    """
    there = ~np.isnan(differences)
    if not there.any():
        return np.nan
    _, numbered = np.unique(users[there], return_inverse=True)
    per_user = np.bincount(numbered, weights=differences[there]) / np.bincount(numbered)
    observed = abs(per_user.sum()) - 1e-12
    random = np.random.default_rng(seed)
    rows = max(_CHUNK // len(per_user), 1)
    beyond = 0
    for start in range(0, flips, rows):
        signs = random.integers(0, 2, size=(min(rows, flips - start), len(per_user)), dtype=np.int8) * 2 - 1
        beyond += int((np.abs(signs @ per_user) >= observed).sum())
    return (beyond + 1) / (flips + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for how many there are (Holm, 1979); NaN stays NaN and does not count."""
    known = sorted((p, name) for name, p in p_values.items() if not np.isnan(p))
    adjusted, highest = dict(p_values), 0.0
    for place, (p, name) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - place)))
        adjusted[name] = highest
    return adjusted


def wilson(count: int, of: int) -> Interval:
    """A share with its 95% score interval (Wilson, 1927), which is no point where the share is 0 or 1; NaN of none."""
    if not of:
        return Interval(np.nan, np.nan, np.nan, 0)
    z, share = 1.959964, count / of
    middle, half = share + z * z / (2 * of), z * float(np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)))
    scale = 1 + z * z / of
    return Interval(share, max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0), of)
