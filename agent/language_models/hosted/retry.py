"""Rules for asking a server again: after which errors, after which wait, and when to pause."""

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from whimbrel.agent.language_models.hosted.replies import BrokenOffError
from whimbrel.agent.language_models.hosted.server_errors import ServerError

R = TypeVar("R")

MAX_TRIES_BUSY = 5
"""The most tries of a request that the server asks to repeat."""
MAX_TRIES_INCOMPLETE = 3
"""The most tries of a request that got no answer or only a part of an answer."""
FIRST_WAIT_SECONDS = 0.5
"""The longest wait before the second try, if the server does not say how long to wait. It doubles with each try."""
MAX_WAIT_SECONDS = 20.0
"""The longest that all waits of a request may take together. A server that asks for more is not asked again."""
MAX_SILENT_SECONDS = 60.0
"""No request is sent again later than this after it was first sent. A person waits that long without a word."""
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
    The waits take MAX_WAIT_SECONDS at most, and no try begins after MAX_SILENT_SECONDS.

    Args:
        ask: A function that sends one request.
        max_tries_500: The most tries of a request that is answered with status 500.
        interrupted: An event that ends the wait and the tries when it is set.

    Raises:
        Exception: The error of the last try.
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, sleep_using_event, wait_random_exponential

    growing_wait = wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=10)

    def wait(state: RetryCallState) -> float:
        return getattr(_error_of(state), "retry_after_seconds", 0.0) or growing_wait(state)

    def stop(state: RetryCallState) -> bool:
        error = _error_of(state)
        if _is_busy(error):
            max_tries = MAX_TRIES_BUSY
        else:
            # Some servers answer 500 to a setting that they do not know. Another try would not help then.
            max_tries = max_tries_500 if isinstance(error, ServerError) else MAX_TRIES_INCOMPLETE
        is_too_late = (
            state.idle_for + state.upcoming_sleep > MAX_WAIT_SECONDS
            or (state.seconds_since_start or 0.0) + state.upcoming_sleep >= MAX_SILENT_SECONDS
        )
        return state.attempt_number >= max_tries or is_too_late or interrupted.is_set()

    may_pass = retry_if_exception(
        lambda error: _is_busy(error) or is_incomplete(error) or (isinstance(error, ServerError) and _may_pass(error)),
    )
    sleep = sleep_using_event(interrupted)  # an interruption also ends a wait
    return Retrying(retry=may_pass, stop=stop, wait=wait, sleep=sleep, reraise=True)(ask)


def is_incomplete(error: BaseException | None) -> bool:
    """Return whether an error means that no answer arrived or only a part of it."""
    from httpx2 import TransportError
    from openai import APIError, APIStatusError

    is_broken = isinstance(error, TransportError | json.JSONDecodeError | BrokenOffError)
    return is_broken or (isinstance(error, APIError) and not isinstance(error, APIStatusError))


def _error_of(state: Any) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _is_busy(error: BaseException | None) -> bool:
    return isinstance(error, ServerError) and error.is_busy


def _may_pass(error: ServerError) -> bool:
    """Return whether an error 500 may pass. A prompt that is refused is refused again."""
    return error.status == 500 and not (error.is_too_long or error.is_filtered)
