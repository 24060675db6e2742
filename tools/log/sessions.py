"""Sessions: the one rule by which events are split into sessions.

A session is a run of events of one user in which no event follows the one before it by more than
`SESSION_GAP_SECONDS`. Every function here takes the times of one user's events in order, the earliest first.
An event whose time is unknown (NaN) belongs to the session of the event before it, and so does the event after it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SESSION_GAP_SECONDS = 3 * 3600

Times = NDArray[np.float64] | Sequence[float]


def session_starts(times: Times) -> NDArray[np.int64]:
    """Return the position of the first event of each session, shape (sessions,), in order.

    >>> session_starts([0, 60, 4 * 3600, 4 * 3600 + 60]).tolist()
    [0, 2]
    """
    if not len(times):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.append(True, np.diff(times) > SESSION_GAP_SECONDS))


def session_numbers(times: Times) -> NDArray[np.int64]:
    """Return the number of each event's session, counted from 0, shape (events,).

    >>> session_numbers([0, 60, 4 * 3600, 4 * 3600 + 60]).tolist()
    [0, 0, 1, 1]
    """
    starts = session_starts(times)
    lengths = np.diff(np.append(starts, len(times)))
    return np.repeat(np.arange(len(starts)), lengths)


def open_session_start(times: Times, *, at: float | None = None) -> int:
    """Return the position of the first event of the session that is open at a moment.

    Args:
        times: At least one time.
        at: The moment, not before the last event; None for the moment of the last event itself.

    Returns:
        `len(times)` if the last event is more than `SESSION_GAP_SECONDS` before `at`, so that no session is open.
    """
    return int(session_starts(np.append(times, times[-1] if at is None else at))[-1])
