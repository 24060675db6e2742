"""Arithmetic on arrays that several stages share."""

import numpy as np
from numpy.typing import NDArray

_NO_SPREAD = 1e-9  # a smaller standard deviation is only the rounding error of equal values


def standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale the finite values to mean 0 and standard deviation 1.

    Args:
        values: One number per entry, shape (n,). NaN and infinities count as unknown.

    Returns:
        An array of the same shape. Unknown entries are 0. All entries are 0 if the known values are equal or absent.

    Example:
        >>> standardise(np.array([1.0, np.nan, 3.0])).tolist()
        [-1.0, 0.0, 1.0]
    """
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    centred = np.where(known, values - values[known].mean(), 0.0)
    spread = float(np.sqrt((centred[known] ** 2).mean()))
    return np.asarray(centred / spread if spread > _NO_SPREAD else np.zeros(len(values)))
