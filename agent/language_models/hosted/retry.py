"""Rules for asking a server again: after which errors, after which wait, and when to pause."""

import json
import math
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

R = TypeVar("R")

MAX_TRIES_BUSY = 5
"""The most tries of a request that the server asks to repeat."""
MAX_TRIES_INCOMPLETE = 3
"""The most tries of a request that got no answer or only a part of an answer."""
MAX_WAIT_SECONDS = 120.0
"""The longest wait before another try, even if `Retry-After` asks for more."""
MAX_FAILURES = 5
"""After this many failed requests in a row, the server is not asked for PAUSE_SECONDS. Each failed in all its tries."""
PAUSE_SECONDS = 30.0


def circuit_breaker() -> Any:
    """Return a breaker that stops requests after MAX_FAILURES in a row, for example if the server is down.

    A busy server and an incomplete answer count as failures. A refusal such as 404 does not.
    """
    from pybreaker import CircuitBreaker

    return CircuitBreaker(
        fail_max=MAX_FAILURES,
        reset_timeout=PAUSE_SECONDS,
        exclude=[lambda error: not (_is_busy(error) or is_incomplete(error))],
        throw_new_error_on_trip=False,
    )


def ask_with_retries(ask: Callable[[], R], *, max_tries_500: int, interrupted: threading.Event) -> R:
    """Call `ask`, and call it again after a failure that may pass.

    The wait is as long as the server's `Retry-After` says. Without that header it is random and grows with each try.

    Args:
        ask: A function that sends one request.
        max_tries_500: The most tries of a request that is answered with status 500.
        interrupted: An event that ends the wait and the tries when it is set.

    Raises:
        Exception: The error of the last try.
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, sleep_using_event, wait_random_exponential

    growing_wait = wait_random_exponential(multiplier=0.5, max=10)

    def wait(state: RetryCallState) -> float:
        return _retry_after_seconds(_error_of(state)) or growing_wait(state)

    def stop(state: RetryCallState) -> bool:
        error = _error_of(state)
        if _is_busy(error):
            max_tries = MAX_TRIES_BUSY
        else:
            # Some servers answer 500 to a setting that they do not know. Another try would not help then.
            max_tries = max_tries_500 if _status_of(error) == 500 else MAX_TRIES_INCOMPLETE
        return state.attempt_number >= max_tries or interrupted.is_set()

    may_pass = retry_if_exception(
        lambda error: _is_busy(error) or is_incomplete(error) or _status_of(error) == 500,
    )
    sleep = sleep_using_event(interrupted)  # an interruption also ends a wait
    return Retrying(retry=may_pass, stop=stop, wait=wait, sleep=sleep, reraise=True)(ask)


def is_incomplete(error: BaseException | None) -> bool:
    """Return whether an error means that no answer arrived or only a part of it."""
    from httpx2 import TransportError
    from openai import APIError, APIStatusError

    is_broken = isinstance(error, TransportError | json.JSONDecodeError)
    return is_broken or (isinstance(error, APIError) and not isinstance(error, APIStatusError))


def _error_of(state: Any) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _status_of(error: BaseException | None) -> int:
    return int(getattr(error, "status_code", 0) or 0)


def _is_busy(error: BaseException | None) -> bool:
    """Return whether the error means that the server can be asked again later."""
    status = _status_of(error)
    # 501 means that the server lacks a function. Waiting does not restore a used-up quota.
    may_pass = (status in (408, 409, 429) or status > 500) and status != 501
    return may_pass and getattr(error, "code", "") != "insufficient_quota"


def _retry_after_seconds(error: BaseException | None) -> float:
    """Return how many seconds the server asks to wait, at most MAX_WAIT_SECONDS; 0 if it does not say."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    retry_after = str(headers.get("retry-after", ""))
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), MAX_WAIT_SECONDS) if math.isfinite(seconds) else MAX_WAIT_SECONDS
