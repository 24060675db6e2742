"""Requests to one server, kept within a budget and repeated after failures that may pass."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar

from whimbrel.agent.language_models.hosted.address import KEY_VARIABLE, hide_credentials, proxy_variable
from whimbrel.agent.language_models.hosted.budget import Account
from whimbrel.agent.language_models.hosted.replies import NoCompletionError
from whimbrel.agent.language_models.hosted.retry import (
    MAX_SILENT_SECONDS,
    MAX_TRIES_BUSY,
    MAX_TRIES_INCOMPLETE,
    PAUSE_SECONDS,
    ask_with_retries,
    circuit_breaker,
    is_incomplete,
)
from whimbrel.agent.language_models.hosted.server_errors import ServerError, read_status_error, says_anything
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.errors import ConfigError, ModelError

CONCURRENT_REQUESTS = 4
"""The number of requests in progress at once."""
MAX_PLACEHOLDER_LENGTH = 5
"""A key of at most this many characters is a placeholder, such as `none` or `EMPTY`, and no secret."""
MIN_TIMEOUT_SECONDS = 5.0
"""The shortest time for the first piece of an answer, however late the try."""

# Status codes with which proxies answer in place of the server.
_MAYBE_OF_PROXY = (403, 407, 502, 503, 504)

A = TypeVar("A")
R = TypeVar("R")


class NoStreamError(Exception):
    """The server does not send streams that can be read."""


class Connection:
    """Sends requests to an OpenAI-compatible server. Safe for several threads.

    Attributes:
        client: The `openai.OpenAI` client. An interruption replaces it by a new one.
        has_replied: Whether the model has given a whole reply. If it has, a later error 500 is likely to pass.
    """

    def __init__(self, key: str, base_url: str, *, spec: str, account: Account, timeout_seconds: float) -> None:
        from openai import OpenAI

        self._spec, self._account = spec, account
        self._secret = key if len(key) > MAX_PLACEHOLDER_LENGTH else "\0"  # no message contains this text
        self._timeout_seconds = timeout_seconds
        try:
            # the client itself does not retry, since the budget must reserve each try
            self._open = partial(OpenAI, api_key=key, base_url=base_url, timeout=timeout_seconds, max_retries=0)
            self.client: Any = self._open()
        except Exception as error:
            proxy = proxy_variable(base_url)
            raise ConfigError(
                f"no connection to {spec!r} can be set up ({self.public(error)}): correct the address, "
                f"{KEY_VARIABLE} or the proxy{proxy and f' in {proxy}'}"
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
        self, ask: Callable[[list[Usage], float], tuple[R, Usage]], *, prompt_tokens: int, max_tokens: int
    ) -> tuple[R, Usage]:
        """Send a request if the budget and the breaker allow it. Send it again after a failure that may pass.

        Args:
            ask: A function that sends the request once. It gets a list and appends its usage, even if it fails. It
                also gets the longest wait for the next piece of the answer, in seconds.
            prompt_tokens: The most tokens that the server reads.
            max_tokens: The most tokens that the server writes.

        Raises:
            ServerError: The server answered with an error.
            NoStreamError: `ask` raised this error.
            ModelError: Anything else failed.
        """
        from httpx2 import TimeoutException
        from openai import APITimeoutError
        from pybreaker import CircuitBreakerError

        start = time.monotonic()

        def timeout_seconds() -> float:
            left = max(MAX_SILENT_SECONDS - (time.monotonic() - start), MIN_TIMEOUT_SECONDS)
            return min(self._timeout_seconds, left)

        def ask_once() -> tuple[R, Usage]:
            with self._account.reserve(prompt_tokens=prompt_tokens, max_tokens=max_tokens) as used:
                return self._take_turn(lambda: ask(used, timeout_seconds()))

        try:
            max_tries_500 = MAX_TRIES_BUSY if self.has_replied else MAX_TRIES_INCOMPLETE
            with self._breaker.calling():  # `call` would hold a lock, so that only one request ran at a time
                return ask_with_retries(ask_once, max_tries_500=max_tries_500, interrupted=self._interrupted)
        except (ServerError, ModelError, NoStreamError):
            raise
        except CircuitBreakerError as error:
            raise ModelError(
                f"{self._spec!r} failed too often or was silent for too long, so it is not asked again for "
                f"{PAUSE_SECONDS:.0f} s: try again later, or use another model",
                retryable=True,
            ) from error
        except (APITimeoutError, TimeoutException) as error:
            self.pause()
            seconds = time.monotonic() - start
            raise ModelError(
                f"{self._server} sent nothing within {seconds:.0f} s{self._by_proxy}: the server or the model may be "
                "overloaded; try again later, or use another model",
                retryable=True,
            ) from error
        except NoCompletionError as error:
            raise self._no_completion(self.public(error)) from error
        except Exception as error:
            if not is_incomplete(error):
                raise self._no_completion(f"{type(error).__name__}: {self.public(error)}") from error
            raise self._incomplete(error) from error

    def pause(self) -> None:
        """Ask nothing for PAUSE_SECONDS. The next stages of the same request would wait as long."""
        self._breaker.open()

    @property
    def _server(self) -> str:
        """The model's spec, and the address if the spec does not name it."""
        address = hide_credentials(str(self.client.base_url)).rstrip("/")
        return repr(self._spec) if address in self._spec else f"{self._spec!r} at {address}"

    @property
    def _by_proxy(self) -> str:
        """Words about the proxy between here and the server; empty if there is none."""
        variable = proxy_variable(str(self.client.base_url))
        if not variable:
            return ""
        return f" through the proxy in {variable} (correct or unset {variable}, or name the server's host in NO_PROXY)"

    def _incomplete(self, error: Exception) -> ModelError:
        """Return the error to raise if no answer arrived or only a part of it."""
        from httpx2 import ConnectError, ProxyError, TooManyRedirects

        cause = error.__cause__ or error  # the client's own errors do not say more than "Connection error."
        if isinstance(cause, TooManyRedirects):
            return self._no_completion(self.public(cause))
        if isinstance(cause, ConnectError | ProxyError):
            advice = "is the server running?"
            if "SSL" in str(cause):
                advice = "check its certificate, and whether the address begins with http:// or https://"
            if self._by_proxy:
                advice = f"the request went{self._by_proxy}"
            answer = f"no answer from {self._server} ({self.public(cause)}): {advice}"
        else:
            is_empty = isinstance(error, json.JSONDecodeError) and not error.doc.strip()
            what = "is empty" if is_empty else f"broke off ({self.public(cause)})"
            answer = f"the answer of {self._spec!r}{self._by_proxy} {what}: try again, or use another model"
        return ModelError(answer, retryable=True)

    def _no_completion(self, cause: str) -> ModelError:
        return ModelError(
            f"the answer of {self._server} is not a completion ({cause}): check that an OpenAI-compatible server has "
            "this address, for example http://127.0.0.1:8000/v1"
        )

    def public(self, error: object) -> str:
        """Return the start of an error's message without the key and the credentials in addresses."""
        return hide_credentials(str(error).replace(self._secret, "***"))[:200]

    def _take_turn(self, ask: Callable[[], R]) -> R:
        """Ask while other threads ask too. After the first incomplete answer, only one thread asks at a time.

        The reason is llama.cpp's server, which breaks off an answer when the next request arrives.
        """
        with self._exclusive if self._one_by_one else nullcontext():
            try:
                return _with_server_errors(ask)
            except Exception as error:
                self._one_by_one = self._one_by_one or is_incomplete(error)
                raise

    def failure(self, error: ServerError) -> ModelError:
        """Return the error to raise for an error that the server answered."""
        answered = "answered with an error" if error.in_answer else f"answered {error.status}"
        if error.status in _MAYBE_OF_PROXY and not error.in_answer:
            answered += self._by_proxy
        return ModelError(
            f"{self._spec!r} {answered}: {self.public(error)}; {error.advice}",
            retryable=error.is_busy or error.status == 500,
        )


def _with_server_errors(ask: Callable[[], R]) -> R:
    """Call `ask`. Turn the client's errors that a server answered into a ServerError."""
    from openai import APIConnectionError, APIError, APIStatusError

    try:
        return ask()
    except APIStatusError as error:
        raise read_status_error(error) from error
    except APIConnectionError:
        raise
    except APIError as error:  # an error within a stream
        if not says_anything(error.body):
            raise NoStreamError from error  # the client cannot read past an empty field `error`
        raise ServerError(error.body) from error
