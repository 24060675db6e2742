"""When a server is asked again, how long after, and when it is left alone."""

import json
import math
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

R = TypeVar("R")

TRIES, TRIES_UNHEARD = 5, 3
"""Tries of one request that the server asks to repeat, and of one without a whole answer; ever longer apart, or as the
server's Retry-After says."""
LONGEST_WAIT_SECONDS = 120.0
FAILURES, PAUSE_SECONDS = 5, 30.0
"""Requests in a row that no further try helped until the server is left alone, and for how long."""


def circuit_breaker() -> Any:
    """Opens after FAILURES in a row: a server that is down is not helped by asking it further."""
    from pybreaker import CircuitBreaker

    return CircuitBreaker(
        fail_max=FAILURES,
        reset_timeout=PAUSE_SECONDS,
        exclude=[lambda error: not (_busy(error) or unheard(error))],
        throw_new_error_on_trip=False,
    )


def again(ask: Callable[[], R], tries_500: int, interrupted: threading.Event) -> R:
    """Ask, and ask again where the server is busy or its answer was not whole. A server answers 500 also to what it
    does not know, which no further try helps: such a request is tried `tries_500` times."""
    from tenacity import RetryCallState, Retrying, retry_if_exception, sleep_using_event, wait_random_exponential

    growing = wait_random_exponential(multiplier=0.5, max=10)

    def wait(state: RetryCallState) -> float:
        return _asked_wait(_error(state)) or growing(state)

    def stop(state: RetryCallState) -> bool:
        error = _error(state)
        most = TRIES if _busy(error) else tries_500 if getattr(error, "status_code", 0) == 500 else TRIES_UNHEARD
        return state.attempt_number >= most or interrupted.is_set()

    repeated = retry_if_exception(
        lambda error: _busy(error) or unheard(error) or getattr(error, "status_code", 0) == 500
    )
    sleep = sleep_using_event(interrupted)
    return Retrying(retry=repeated, stop=stop, wait=wait, sleep=sleep, reraise=True)(ask)


def _error(state: Any) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _busy(error: BaseException | None) -> bool:
    """Whether the server asks to come again later."""
    code = getattr(error, "status_code", 0)
    return (
        (code in (408, 409, 429) or code > 500) and code != 501 and getattr(error, "code", "") != "insufficient_quota"
    )


def unheard(error: BaseException | None) -> bool:
    """Whether no answer came, or not a whole one."""
    from httpx2 import TransportError
    from openai import APIError, APIStatusError

    broken = isinstance(error, TransportError | json.JSONDecodeError)
    return broken or (isinstance(error, APIError) and not isinstance(error, APIStatusError))


def _asked_wait(error: BaseException | None) -> float:
    """Seconds that the server asks to wait, 0 where it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    said = str(headers.get("retry-after", ""))
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else LONGEST_WAIT_SECONDS
