"""Requests to one server: within a budget, several at once, repeated where that may help, errors made plain."""

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
"""Requests in progress at once."""

A = TypeVar("A")
R = TypeVar("R")


class NoStreamError(Exception):
    """The server sends no streams: its answer held no piece of one."""


def api_key(base_url: str | None, *, spec: str) -> str:
    """Return the key in OPENAI_API_KEY, or a stand-in for a server that may need none.

    Raises:
        ConfigError: OpenAI itself is asked and there is no key.
    """
    key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
    if not key:
        raise ConfigError(f"{spec!r} needs a key: set OPENAI_API_KEY, or name a server with openai:MODEL@BASE_URL")
    return key


def hide_credentials(address: str) -> str:
    """Return an address without the name and password in it.

    Example:
        >>> hide_credentials("http://user:secret@127.0.0.1:8000/v1")
        'http://127.0.0.1:8000/v1'
    """
    return re.sub(r"(https?://)[^/@]*@", r"\1", address)


class Connection:
    """Sends requests to an OpenAI-compatible server. Safe for several threads.

    Attributes:
        client: The `openai.OpenAI` client, a new one after an interruption.
        has_replied: The model gave a whole reply before, so a later error 500 is likely to pass.
    """

    def __init__(self, key: str, base_url: str | None, *, spec: str, account: Account, timeout_seconds: float) -> None:
        from openai import OpenAI

        self._spec, self._account = spec, account
        self._secret = os.environ.get("OPENAI_API_KEY") or "\0"  # a text that no message holds
        try:
            key.encode("ascii")  # a header of HTTP takes nothing else, and the client would fail at the first request
            # no retries by the client: each try must be reserved in the budget
            self._open = partial(OpenAI, api_key=key, base_url=base_url, timeout=timeout_seconds, max_retries=0)
            self.client: Any = self._open()
        except Exception as error:
            raise ConfigError(
                f"{spec!r} cannot be asked ({type(error).__name__}: {error}): correct the address, OPENAI_API_KEY or "
                "the proxy"
            ) from error
        self.has_replied = False
        self._breaker = circuit_breaker()
        self._exclusive, self._one_by_one = threading.Lock(), False  # see `_take_turn`
        self._interrupted = threading.Event()

    def map(self, call: Callable[[A], R], arguments: Sequence[A]) -> list[R]:
        """Return the results of `call` for each argument, in order, CONCURRENT_REQUESTS at once.

        An interruption (Ctrl-C) ends all requests, and the connection can be used again.
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
        """Send a request within the budget and the breaker, and again where that may help.

        Args:
            ask: Sends it once. Appends what it used to the list that it is given, also where it fails.
            prompt_tokens: Most tokens that the server reads.
            max_tokens: Most tokens that it writes.

        Raises:
            openai.APIStatusError: The server answered with an error.
            NoStreamError: `ask` raised it.
            ModelError: Everything else.
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
                f"{self._spec!r} failed {MAX_FAILURES} times in a row and is left alone for {PAUSE_SECONDS:.0f} s: try "
                "again later, or use another model",
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
                f"the answer of {self._spec!r} is no completion ({cause}): is the address that of an OpenAI-compatible "
                "server, as in http://127.0.0.1:8000/v1?"
            ) from error

    def _take_turn(self, ask: Callable[[], R]) -> R:
        """Ask beside other threads, one by one once an answer was incomplete.

        The server of llama.cpp breaks off an answer when the next request arrives.
        """
        with self._exclusive if self._one_by_one else nullcontext():
            try:
                return ask()
            except Exception as error:
                self._one_by_one = self._one_by_one or is_incomplete(error)
                raise

    def failure(self, error: Any) -> ModelError:
        """Return the error to raise for an `openai.APIStatusError`, with what to do about it and without the key."""
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
