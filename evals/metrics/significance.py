"""Significance of a difference: paired permutation tests over users, and the correction for many tests.

The test is done here rather than by scipy.stats: `scipy.stats.permutation_test` draws other signs, which would change
every published p-value.
"""

from collections.abc import Mapping

import numpy as np

from whimbrel.evals.metrics.intervals import MOST_AT_ONCE, Floats, Ints

FLIPS = 10_000
"""Draws of a permutation test. Its smallest p-value is therefore about 0.0001."""
ROUNDING = 1e-12
"""A sum this much below the observed one still counts as equal."""


def sign_flip_p(differences: Floats, users: Ints, *, seed: int, flips: int = FLIPS) -> float:
    """Return the two-sided p-value of the hypothesis that the mean difference is 0 (Fisher, 1935).

    In each draw, the mean difference of each user gets a random sign.

    Args:
        differences: Differences, shape (n,). NaN is left out.
        users: The user of each difference, shape (n,).
        seed: Seed of the signs.
        flips: Number of draws.

    Returns:
        A p-value above 0; NaN if there is no difference to test.
    """
    known = ~np.isnan(differences)
    if not known.any():
        return np.nan
    # Users without a difference are left out, so the remaining users get new numbers.
    _, numbered = np.unique(users[known], return_inverse=True)
    per_user = np.bincount(numbered, weights=differences[known]) / np.bincount(numbered)
    # Sums can be compared instead of means, since every draw has the same number of users.
    observed = abs(per_user.sum()) - ROUNDING
    random = np.random.default_rng(seed)
    rows = max(MOST_AT_ONCE // len(per_user), 1)
    as_extreme = 0
    for start in range(0, flips, rows):
        signs = random.integers(0, 2, size=(min(rows, flips - start), len(per_user)), dtype=np.int8) * 2 - 1
        as_extreme += int((np.abs(signs @ per_user) >= observed).sum())
    # The observed signs count as one draw, so p is never 0.
    return (as_extreme + 1) / (flips + 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for the number of tests (Holm, 1979). NaN stays NaN and does not count as a test.

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
