"""Counts as of a moment, which the counts of a moment close to it make cheap."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class RunningCounts:
    """Counts how often each row occurs before a moment.

    Questions usually come in order of time, or about the end. Only what lies between two moments is then counted.
    """

    def __init__(self, times: Floats, rows: Ints, size: int) -> None:
        """Prepare to count.

        Args:
            times: Times in ascending order, shape (events,).
            rows: The row of each event, shape (events,).
            size: The number of rows.
        """
        self._times, self._rows, self._size = times, rows, size
        # One tuple, so that a thread never sees the position of one moment with the counts of another.
        self._last: tuple[int, Ints] = (0, np.zeros(size, dtype=np.int64))

    def before(self, moment: float) -> Ints:
        """Return how often each row occurs earlier than `moment`, shape (size,). The array cannot be written to.

        Example:
            >>> counts = RunningCounts(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0]), 2)
            >>> counts.before(3.0).tolist(), counts.before(2.0).tolist()
            ([1, 1], [1, 0])
        """
        stop = int(np.searchsorted(self._times, moment))
        known, counts = self._last
        if stop == known:
            return counts
        if abs(stop - known) > stop:  # counting from the beginning is shorter
            known, counts = 0, np.zeros(self._size, dtype=np.int64)
        between = np.bincount(self._rows[min(known, stop) : max(known, stop)], minlength=self._size)
        counts = counts + between if stop > known else counts - between
        counts.flags.writeable = False
        self._last = (stop, counts)
        return counts
