"""Arithmetic on arrays that several stages share, and the reading of files of arrays."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


@contextmanager
def opened_arrays(path: Path) -> Iterator[Any]:
    """Open a file that `numpy.savez` wrote. Its arrays are read within the block, by their names.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is damaged, or the block found that it holds something else.
    """
    # The file is opened here because numpy would leave it open if it is not a zip archive.
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                yield arrays
        except OSError:
            raise
        # Of a damaged file, numpy and zipfile raise almost any exception, such as TokenError or NotImplementedError.
        except Exception as error:
            raise ValueError(f"{path.name!r} is damaged: {error}") from error
