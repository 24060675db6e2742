"""The moment that a request asks about, and what "now" is if it names none."""

import time

from whimbrel.agent.schema.context import Context
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.timestamps import parse_time

LIVE_SECONDS = 7 * 24 * 3600
"""A log is live if its last event is at most this old. "Now" is the clock's time for a live log, else the log's end."""


def given_moment(at: object, context: Context) -> float | None:
    """Return the time `at`. If that is None, return the context's time, or None if the context has no date."""
    return context.moment if at is None else parse_time(at)


def now_of(log: InteractionLog) -> float:
    """Return the clock's time, or one second after the last event if the log ended over a week ago."""
    clock = time.time()
    return clock if log.end is None or clock - log.end <= LIVE_SECONDS else log.end + 1
