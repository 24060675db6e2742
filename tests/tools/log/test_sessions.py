"""Sessions: a pause of more than three hours ends one."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.tools.log.sessions import SESSION_GAP_SECONDS, open_session_start, session_numbers, session_starts

PAUSES = st.lists(st.sampled_from([0, 60, SESSION_GAP_SECONDS, SESSION_GAP_SECONDS + 1, 86_400]), max_size=12)


@given(PAUSES)
def test_a_session_starts_with_the_first_event_and_after_every_longer_pause(pauses: list[int]) -> None:
    times = np.cumsum([0, *pauses]).astype(float)
    longer = [number for number, pause in enumerate(pauses, start=1) if pause > SESSION_GAP_SECONDS]
    assert session_starts(times).tolist() == [0, *longer]
    assert session_numbers(times).tolist() == [sum(start <= event for start in longer) for event in range(len(times))]


@given(PAUSES, st.integers(0, 86_400))
def test_the_open_session_is_the_last_one_unless_the_moment_is_too_late_for_it(pauses: list[int], since: int) -> None:
    times = np.cumsum([0, *pauses]).astype(float)
    expected = session_starts(times)[-1] if since <= SESSION_GAP_SECONDS else len(times)
    assert open_session_start(times, at=times[-1] + since) == expected
    assert open_session_start(times) == session_starts(times)[-1]


def test_no_events_are_no_sessions() -> None:
    assert session_starts([]).tolist() == []
    assert session_numbers([]).tolist() == []


def test_an_unknown_time_starts_no_session() -> None:
    assert session_starts([0.0, math.nan, 2.0 * SESSION_GAP_SECONDS]).tolist() == [0]
