"""Requests to one server, kept within a budget and repeated after failures that may pass."""

import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar

from whimbrel.agent.language_models.hosted.budget import Account
from whimbrel.agent.language_models.hosted.retry import (
    MAX_FAILURES,
    MAX_TRIES_BUSY,
    MAX_TRIES_INCOMPLETE,
    PAUSE_SECONDS,
    ask_with_retries,
    circuit_breaker,
    is_incomplete,
)
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.errors import ConfigError, ModelError

CONCURRENT_REQUESTS = 4
"""The number of requests in progress at once."""

A = TypeVar("A")
R = TypeVar("R")


class NoStreamError(Exception):
    """The server does not send streams: its answer held no piece of a stream."""


def api_key(base_url: str | None, *, spec: str) -> str:
    """Return the key in OPENAI_API_KEY, or a placeholder for a server that may need no key.

    Raises:
        ConfigError: The server is OpenAI's own, and there is no key.
    """
    key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
    if not key:
        raise ConfigError(f"{spec!r} needs a key: set OPENAI_API_KEY, or name a server with openai:MODEL@BASE_URL")
    return key


def hide_credentials(address: str) -> str:
    """Return an address without its user name and password.

    Example:
        >>> hide_credentials("http://user:secret@127.0.0.1:8000/v1")
        'http://127.0.0.1:8000/v1'
    """
    return re.sub(r"(https?://)[^/@]*@", r"\1", address)


class Connection:
    """Sends requests to an OpenAI-compatible server. Safe for several threads.

    Attributes:
        client: The `openai.OpenAI` client. An interruption replaces it by a new one.
        has_replied: Whether the model has given a whole reply. If it has, a later error 500 is likely to pass.
    """

    def __init__(self, key: str, base_url: str | None, *, spec: str, account: Account, timeout_seconds: float) -> None:
        from openai import OpenAI

        self._spec, self._account = spec, account
        self._secret = os.environ.get("OPENAI_API_KEY") or "\0"  # no message contains this text
        try:
            key.encode("ascii")  # an HTTP header must be ASCII, or the client would fail at the first request
            # the client itself does not retry, since the budget must reserve each try
            self._open = partial(OpenAI, api_key=key, base_url=base_url, timeout=timeout_seconds, max_retries=0)
            self.client: Any = self._open()
        except Exception as error:
            raise ConfigError(
                f"no connection to {spec!r} can be set up ({type(error).__name__}: {error}): correct the address, "
                "OPENAI_API_KEY or the proxy"
            ) from error
        self.has_replied = False
        self._breaker = circuit_breaker()
        self._exclusive, self._one_by_one = threading.Lock(), False  # see `_take_turn`
        self._interrupted = threading.Event()

    def map(self, call: Callable[[A], R], arguments: Sequence[A]) -> list[R]:
        """Return the result of `call` for each argument, in order.

        CONCURRENT_REQUESTS calls run at once. An interruption (Ctrl-C) ends all requests. The connection can be used
        again afterwards.
        """
        if len(arguments) < 2:
            return [call(argument) for argument in arguments]
        pool = ThreadPoolExecutor(CONCURRENT_REQUESTS)
        try:
            return list(pool.map(call, arguments))
        except KeyboardInterrupt:
            self._interrupted.set()  # ends waits before another try
            self.client.close()  # ends requests in progress
            raise
        finally:
            pool.shutdown(wait=not self._interrupted.is_set(), cancel_futures=True)
            if self._interrupted.is_set():
                self.client, self._interrupted = self._open(), threading.Event()

    def request(
        self, ask: Callable[[list[Usage]], tuple[R, Usage]], *, prompt_tokens: int, max_tokens: int
    ) -> tuple[R, Usage]:
        """Send a request if the budget and the breaker allow it. Send it again after a failure that may pass.

        Args:
            ask: A function that sends the request once. It gets a list and appends its usage, even if it fails.
            prompt_tokens: The most tokens that the server reads.
            max_tokens: The most tokens that the server writes.

        Raises:
            openai.APIStatusError: The server answered with an error.
            NoStreamError: `ask` raised this error.
            ModelError: Anything else failed.
        """
        from openai import APIConnectionError, APIStatusError
        from pybreaker import CircuitBreakerError

        def ask_once() -> tuple[R, Usage]:
            with self._account.reserve(prompt_tokens=prompt_tokens, max_tokens=max_tokens) as used:
                return self._take_turn(lambda: ask(used))

        try:
            max_tries_500 = MAX_TRIES_BUSY if self.has_replied else MAX_TRIES_INCOMPLETE
            ask_patiently = partial(ask_with_retries, max_tries_500=max_tries_500, interrupted=self._interrupted)
            answer: tuple[R, Usage] = self._breaker.call(ask_patiently, ask_once)
            return answer
        except (APIStatusError, ModelError, NoStreamError):
            raise
        except CircuitBreakerError as error:
            raise ModelError(
                f"{self._spec!r} failed {MAX_FAILURES} times in a row and is not asked again for "
                f"{PAUSE_SECONDS:.0f} s: try again later, or use another model",
                retryable=True,
            ) from error
        except APIConnectionError as error:
            address = hide_credentials(str(self.client.base_url))
            raise ModelError(
                f"no answer from {address} for {self._spec!r} ({error}): is the server running?", retryable=True
            ) from error
        except Exception as error:
            cause = f"{type(error).__name__}: {str(error)[:99]}"
            if is_incomplete(error):
                raise ModelError(
                    f"the answer of {self._spec!r} broke off ({cause}): try again", retryable=True
                ) from error
            raise ModelError(
                f"the answer of {self._spec!r} is not a completion ({cause}): check that an OpenAI-compatible server "
                "has this address, for example http://127.0.0.1:8000/v1"
            ) from error

    def _take_turn(self, ask: Callable[[], R]) -> R:
        """Ask while other threads ask too. After the first incomplete answer, only one thread asks at a time.

        The reason is llama.cpp's server, which breaks off an answer when the next request arrives.
        """
        with self._exclusive if self._one_by_one else nullcontext():
            try:
                return ask()
            except Exception as error:
                self._one_by_one = self._one_by_one or is_incomplete(error)
                raise

    def failure(self, error: Any) -> ModelError:
        """Return the error to raise for an `openai.APIStatusError`. Its message gives advice and hides the key."""
        status = error.status_code
        advice = {
            401: "check OPENAI_API_KEY",
            403: "this key may not use the model",
            404: "check the model's name and the address",
            429: "wait, or ask for a higher limit",
        }.get(status, "try again, or use another model")
        message = str(error.message).replace(self._secret, "***")[:160]
        return ModelError(
            f"{self._spec!r} answered {status}: {message}; {advice}",
            retryable=status in (408, 429, 500, 502, 503),
        )
