"""How long a request is tried again: the waits are bounded, and so is the time without a word."""

import threading
import time
from typing import Any

import pytest

from whimbrel.agent.language_models.hosted import retry
from whimbrel.agent.language_models.hosted.retry import MAX_TRIES_BUSY, MAX_WAIT_SECONDS, ask_with_retries
from whimbrel.agent.language_models.hosted.server_errors import ServerError


class FakeWaits(threading.Event):
    """An event that is never set. Instead of waiting, it notes how long it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return False


def failures_and_waits(errors: list[Exception]) -> tuple[int, list[float]]:
    """Return how often a request was tried that fails with these errors in turn, and the waits."""
    waits, tries = FakeWaits(), 0

    def ask() -> Any:
        nonlocal tries
        tries += 1
        raise errors[min(tries, len(errors)) - 1]

    with pytest.raises(ServerError):
        ask_with_retries(ask, max_tries_500=3, interrupted=waits)
    return tries, waits.seconds


def busy(retry_after: str) -> ServerError:
    return ServerError({"error": {"message": "Slow down"}}, status=429, retry_after=retry_after)


@pytest.mark.parametrize(
    ("retry_after", "waits"),
    [
        ("3600", []),
        ("1e9", []),
        ("Fri, 01 Jan 2100 00:00:00 GMT", []),
        ("15", [15.0]),
        ("9", [9.0, 9.0]),
        ("5", [5.0] * 4),
    ],
)
def test_a_server_is_waited_for_at_most_20_seconds_in_all(retry_after: str, waits: list[float]) -> None:
    assert failures_and_waits([busy(retry_after)]) == (len(waits) + 1, waits)
    assert sum(waits) <= MAX_WAIT_SECONDS


@pytest.mark.parametrize("retry_after", ["", "soon", "-5", "nan", "inf", "0"])
def test_without_a_usable_retry_after_the_waits_grow_and_stay_short(retry_after: str) -> None:
    tries, waits = failures_and_waits([busy(retry_after)])
    assert tries == MAX_TRIES_BUSY
    assert sum(waits) <= MAX_WAIT_SECONDS


def test_no_try_begins_after_the_longest_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_SILENT_SECONDS", 0.05)
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.0)
    tries = 0

    def ask() -> Any:
        nonlocal tries
        tries += 1
        time.sleep(0.06)
        raise busy("")

    with pytest.raises(ServerError):
        ask_with_retries(ask, max_tries_500=3, interrupted=threading.Event())
    assert tries == 1


@pytest.mark.parametrize("status", [400, 401, 404, 501])
def test_a_refusal_is_not_tried_again(status: int) -> None:
    assert failures_and_waits([ServerError({}, status=status)]) == (1, [])


def test_a_prompt_that_is_refused_with_500_is_not_tried_again() -> None:
    assert failures_and_waits([ServerError("the context length is exceeded", status=500)]) == (1, [])
    assert failures_and_waits([ServerError("no", status=500)])[0] == 3
