"""Sessions: the only rule that splits events into sessions.

A session is a run of events of one user. A new session begins when more than `SESSION_GAP_SECONDS` lie between two
events. Every function here takes the times of one user's events in order, the earliest first. An event of unknown time
(NaN) belongs to the session of the previous event, and the event after it belongs to that session too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SESSION_GAP_SECONDS = 3 * 3600

Times = NDArray[np.float64] | Sequence[float]


def session_starts(times: Times) -> NDArray[np.int64]:
    """Return the position of each session's first event in ascending order, shape (sessions,).

    >>> session_starts([0, 60, 4 * 3600, 4 * 3600 + 60]).tolist()
    [0, 2]
    """
    if not len(times):
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(np.append(True, np.diff(times) > SESSION_GAP_SECONDS))


def session_numbers(times: Times) -> NDArray[np.int64]:
    """Return the session number of each event, shape (events,). The first session has the number 0.

    >>> session_numbers([0, 60, 4 * 3600, 4 * 3600 + 60]).tolist()
    [0, 0, 1, 1]
    """
    starts = session_starts(times)
    lengths = np.diff(np.append(starts, len(times)))
    return np.repeat(np.arange(len(starts)), lengths)


def open_session_start(times: Times, *, at: float | None = None) -> int:
    """Return the position of the first event of the session that is still open at the time `at`.

    Args:
        times: At least one time.
        at: A time that is not before the last event. None stands for the time of the last event.

    Returns:
        The position. It is `len(times)` if no session is open, because the last event is more than
        `SESSION_GAP_SECONDS` before `at`.
    """
    # The time `at` is treated as one more event, and the session that contains it is the open one.
    return int(session_starts(np.append(times, times[-1] if at is None else at))[-1])
