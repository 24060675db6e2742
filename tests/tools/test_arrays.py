"""Arithmetic on arrays."""

import numpy as np
import pytest

from whimbrel.tools.arrays import standardise


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 3.0], [-1, 1]),
        ([1.0, np.nan, 3.0], [-1, 0, 1]),
        ([2.0, 2.0], [0, 0]),
        ([np.nan, np.inf], [0, 0]),
        ([], []),
    ],
)
def test_known_values_get_mean_0_and_deviation_1_unknown_ones_0(values: list[float], expected: list[float]) -> None:
    assert standardise(np.array(values)).tolist() == expected
