"""The moment that a request asks about, and what "now" is if it names none."""

import time

import numpy as np

from whimbrel.agent.schema.context import Context
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.timestamps import parse_time

LIVE_SECONDS = 7 * 24 * 3600
"""A log is live if its last event is at most this old. "Now" is the clock's time for a live log, else the log's end."""


def given_moment(at: object, context: Context) -> float | None:
    """Return the time `at`. If that is None, return the context's time, or None if the context has no date."""
    return context.moment if at is None else parse_time(at)


FEW = 0.01
"""A smaller share of events that lie in the future are mistakes of the log. If there are more, the clock is wrong."""


def last_event_of(log: InteractionLog) -> float | None:
    """Return the time of the last event, without a few that lie in the future; None if there is no event.

    One row that is dated 2199 by mistake must not move the present of everybody.
    """
    past = int(np.searchsorted(log.time, time.time() + LIVE_SECONDS, side="right"))
    if 0 < past < len(log.time) and len(log.time) - past <= max(FEW * len(log.time), 1):
        return float(log.time[past - 1])
    return log.end


def now_of(log: InteractionLog) -> float:
    """Return the clock's time, or one second after the last event if the clock is over a week later, or earlier."""
    clock, last = time.time(), last_event_of(log)
    return clock if last is None or last <= clock <= last + LIVE_SECONDS else last + 1
