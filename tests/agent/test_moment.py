"""What "now" is: the clock's time, unless the log or the clock say otherwise."""

import time

import pytest

from whimbrel.agent.moment import LIVE_SECONDS, last_event_of, now_of
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item

CLOCK, HOUR, FAR = 1_800_000_000.0, 3600.0, 7_226_582_400.0  # FAR is in the year 2199


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: CLOCK)


def log_of(last: float, *more: float) -> InteractionLog:
    times = [last - HOUR * number for number in range(200)] + list(more)
    return InteractionLog.build([Item(item_id="i", title="I")], [(moment, "u", "i", None) for moment in times])


def test_a_live_log_is_asked_about_now_and_an_old_one_about_its_end() -> None:
    assert now_of(log_of(CLOCK - HOUR)) == CLOCK
    assert now_of(log_of(CLOCK - 2 * LIVE_SECONDS)) == CLOCK - 2 * LIVE_SECONDS + 1


def test_one_row_of_the_far_future_moves_nobody() -> None:
    assert now_of(log_of(CLOCK - HOUR, FAR)) == CLOCK
    assert now_of(log_of(CLOCK - 2 * LIVE_SECONDS, FAR)) == CLOCK - 2 * LIVE_SECONDS + 1
    assert last_event_of(log_of(CLOCK - HOUR, FAR)) == CLOCK - HOUR


def test_a_clock_before_the_log_hides_nothing_of_it() -> None:
    later = CLOCK + 1000 * LIVE_SECONDS
    assert now_of(log_of(later)) == later + 1
    assert now_of(log_of(CLOCK + HOUR)) == CLOCK + HOUR + 1
