"""A model behind an OpenAI-compatible server: OpenAI itself, vLLM, llama.cpp, a gateway."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from whimbrel.agent.language_models.hosted.budget import Account, Budget, BudgetError
from whimbrel.agent.language_models.hosted.prices import price_of
from whimbrel.agent.language_models.hosted.retry import (
    FAILURES,
    PAUSE_SECONDS,
    TRIES,
    TRIES_UNHEARD,
    again,
    circuit_breaker,
    unheard,
)
from whimbrel.agent.language_models.parsers import fit, named_schema
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, Likelihoods, T, Usage
from whimbrel.agent.language_models.tokens import TokenCounter
from whimbrel.prompts import Message
from whimbrel.tools.errors import ConfigError, ModelError

TIMEOUT_SECONDS = 60.0
"""Longest wait for the next piece of a reply."""
CONCURRENT = 4
"""Requests under way at once."""
REASONING_TOKENS = 2000
"""Room for the thoughts of a model that reasons; they count as tokens written."""
LONGEST_REPLY_SECONDS, CHARACTERS, MOST_TOKENS = 180.0, 16, 10**8
"""Longest time that one reply may take in all, characters that a token has at most, tokens that a count can be."""
MESSAGE_TOKENS = 8
"""Tokens that a chat template adds to a message, at most."""
AGREEMENT_NATS = 0.5
"""How far a likelihood of a prompt may be from that of the same token written: batches of a quantised model differ."""

_TAG = re.compile(r"<(?=[|/a-z_｜])", re.IGNORECASE)
"""The beginning of what a server's chat template might take for a control token (`<|im_end|>`, `</s>`)."""
_PROBES = ("The capital of France is", "One, two, three,", "Un café crème et un thé")
R = TypeVar("R")


class HostedModel:
    """Asks in the strictest form that the server takes and remembers which that was. Safe for several threads."""

    context_tokens = 8192

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None,
        spec: str,
        budget: Budget | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        from openai import OpenAI

        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
        if not key:
            raise ConfigError(f"{spec!r} needs a key: set OPENAI_API_KEY, or name a server with openai:MODEL@BASE_URL")
        self.spec = _without_secret(spec)
        self.digest = f"{model}@{_without_secret(base_url or 'openai')}"
        self._secret = os.environ.get("OPENAI_API_KEY") or "\0"
        self._model = model
        self._price = price_of(model)
        self._account = Account(budget or Budget(), self._price, model=model)
        self.count_tokens = TokenCounter(model)
        try:
            key.encode("ascii")
            self._open = partial(OpenAI, api_key=key, base_url=base_url, timeout=timeout_seconds, max_retries=0)
            self._client: Any = self._open()
        except Exception as error:
            raise ConfigError(
                f"{spec!r} cannot be asked ({type(error).__name__}: {error}): mend the address, OPENAI_API_KEY or the "
                "proxy"
            ) from error
        self._breaker = circuit_breaker()
        self._lock, self._alone = threading.Lock(), threading.Lock()
        self._one_by_one = False
        self._interrupted = threading.Event()
        self._scores: bool | None = None if base_url is not None else False
        self._form, self._reasons, self._streams, self._counts = 0, False, True, True
        self._proven = False

    @property
    def form(self) -> str:
        """The form of reply asked for at present: `json_schema`, `tool`, `json_object` or `words`."""
        return _FORMS[self._form][0]

    @property
    def scores(self) -> bool:
        """Whether the server gives likelihoods of a prompt, and the right ones. Asked once it answers.

        What it says of the likeliest next tokens, when it writes them, is compared with what it says of the same ones
        within a prompt; some servers give those of the neighbouring token.
        """
        if self._scores is None:
            try:
                self._scores = all(self._agrees(prompt) for prompt in _PROBES)
            except BudgetError:
                raise
            except ModelError as error:
                self._scores = None if error.retryable else False
        return bool(self._scores)

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        return self._side_by_side(lambda messages: self._reply(messages, schema, max_tokens), conversations)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        if not self.scores:
            raise ModelError(f"model {self.spec!r} gives no likelihoods")
        found = self._side_by_side(lambda text: self._echo(prompt, text), continuations)
        return Likelihoods([sum(values) for values, _ in found], sum((usage for _, usage in found), Usage()))

    def forget(self) -> None:
        pass  # keeps nothing

    def _side_by_side(self, call: Callable[[Any], R], things: Sequence[Any]) -> list[R]:
        """Several requests at once; an interruption ends them all."""
        if len(things) < 2:
            return [call(thing) for thing in things]
        pool = ThreadPoolExecutor(CONCURRENT)
        try:
            return list(pool.map(call, things))
        except KeyboardInterrupt:
            self._interrupted.set()
            self._client.close()
            raise
        finally:
            pool.shutdown(wait=not self._interrupted.is_set(), cancel_futures=True)
            if self._interrupted.is_set():
                self._client, self._interrupted = self._open(), threading.Event()

    # Replies.

    def _reply(self, messages: Sequence[Message], schema: type[T], max_tokens: int) -> Generation[T]:
        """Where the server refuses a setting or a form of the schema, do without it from then on."""
        from openai import APIStatusError

        room = self._prompt_tokens(messages) + self.count_tokens(json.dumps(named_schema(schema)))
        before = self._form
        while True:
            tried = self._form, self._reasons, self._streams, self._counts
            try:
                ask = partial(self._ask, messages, schema, max_tokens)
                text, usage = self._guarded(ask, room, max_tokens)
                self._proven = True
                return fit(text, schema, usage)
            except APIStatusError as error:
                if _too_long(error):
                    return Generation(None, NO_USAGE, misfit=str(error.message)[:200])
                if error.status_code not in (400, 404, 422, 500, 501) or not self._give_way(error, tried):
                    self._form = before  # it was not the form
                    raise self._failure(error) from error
            except _NoStreamError:
                self._streams = False

    def _give_way(self, error: Any, tried: tuple[int, bool, bool, bool]) -> bool:
        """Leave out what the server most likely refused; False where nothing is left to leave out."""
        named = f"{getattr(error, 'param', None) or ''} {error}".casefold()
        with self._lock:
            if tried != (self._form, self._reasons, self._streams, self._counts):
                return True  # another thread found out meanwhile
            if self._counts and "stream_options" in named:
                self._counts = False
            elif self._streams and "stream" in named:
                self._streams = False
            elif not self._reasons and getattr(error, "param", None) in ("max_tokens", "temperature"):
                self._reasons = True
            elif error.status_code != 404 and self._form + 1 < len(_FORMS):
                self._form += 1
            else:
                return False
            return True

    def _ask(
        self, messages: Sequence[Message], schema: type[T], max_tokens: int, used: list[Usage]
    ) -> tuple[str, Usage]:
        """One request: the text of the reply, and its cost, which also goes into `used`."""
        settings = _FORMS[self._form][1](named_schema(schema), schema.__name__) | _settings(max_tokens, self._reasons)
        asked: Any = {
            "model": self._model,
            "messages": [{"role": m["role"], "content": _TAG.sub("< ", m["content"])} for m in messages],
            **settings,
        }
        if not self._streams:
            reply = self._client.chat.completions.create(**asked)
            text = _content(reply.choices[0].message)
            used.append(self._usage(reply.usage, messages, text))
            return text, used[-1]
        if self._counts:
            asked["stream_options"] = {"include_usage": True}
        text, counted, came = "", None, False
        longest = CHARACTERS * (max_tokens + REASONING_TOKENS)
        try:
            with self._client.chat.completions.create(stream=True, **asked) as pieces, _deadline(pieces) as late:
                for piece in pieces:
                    came = True
                    counted = piece.usage or counted
                    text += "".join(_content(choice.delta) for choice in piece.choices[:1])
                    if len(text) > longest or late.is_set():
                        break  # nobody asked for so much
        except Exception:
            if text:
                used.append(self._usage(None, messages, text))
            raise
        if late.is_set():
            raise ModelError(f"{self.spec!r} took over {LONGEST_REPLY_SECONDS:.0f} s for a reply: use another model")
        if not came:
            raise _NoStreamError
        used.append(self._usage(counted, messages, text))
        return text, used[-1]

    def _usage(self, counted: Any, messages: Sequence[Message], written: str) -> Usage:
        """What the server counted; of one that does not count, our own."""
        prompt_tokens = tokens_said(counted, "prompt_tokens")
        written_tokens = tokens_said(counted, "completion_tokens")
        prompt_tokens = self._prompt_tokens(messages) if prompt_tokens is None else prompt_tokens
        details = getattr(counted, "prompt_tokens_details", None)
        usage = Usage(
            llm_calls=1,
            prompt_tokens=prompt_tokens,
            cached_tokens=min(tokens_said(details, "cached_tokens") or 0, prompt_tokens),
            completion_tokens=self.count_tokens(written) if written_tokens is None else written_tokens,
        )
        return replace(usage, cost_usd=self._price.of(usage)) if self._price else usage

    def _prompt_tokens(self, messages: Sequence[Message]) -> int:
        return sum(self.count_tokens(message["content"]) + MESSAGE_TOKENS for message in messages)

    # Likelihoods of a prompt.

    def _echo(self, prompt: str, text: str) -> tuple[list[float], Usage]:
        """Log-probabilities of the tokens of `text` behind `prompt`."""
        whole = prompt + text

        def read(found: Any) -> list[float]:
            return [
                float(value)
                for place, value in zip(found.text_offset, found.token_logprobs, strict=True)
                if len(prompt) <= place < len(whole)
            ]

        values, usage = self._complete(whole, read, echo=True, logprobs=1)
        if not values:
            raise ModelError(f"{self.spec!r} gave no likelihood of {text[:40]!r}")
        return values, usage

    def _agrees(self, prompt: str) -> bool:
        """Whether the server says the same of its likeliest next tokens when they stand in a prompt."""
        written, _ = self._complete(prompt, lambda found: dict(found.top_logprobs[0]), logprobs=3)
        for token, value in sorted(written.items(), key=lambda pair: -pair[1])[:2]:
            echoed, _ = self._echo(prompt, token)
            if len(echoed) != 1 or not abs(echoed[0] - value) <= AGREEMENT_NATS:
                return False
        return bool(written)

    def _complete(self, prompt: str, read: Callable[[Any], R], **settings: Any) -> tuple[R, Usage]:
        """What is read from the log-probabilities of a prompt and one token behind it."""
        from openai import APIStatusError

        def ask(used: list[Usage]) -> tuple[R, Usage]:
            reply = self._client.completions.create(
                model=self._model, prompt=prompt, max_tokens=1, temperature=0.0, **settings
            )
            said = tokens_said(reply.usage, "prompt_tokens")
            usage = Usage(llm_calls=1, prompt_tokens=self.count_tokens(prompt) if said is None else said)
            used.append(replace(usage, cost_usd=self._price.of(usage)) if self._price else usage)
            return read(reply.choices[0].logprobs), used[-1]

        try:
            return self._guarded(ask, self.count_tokens(prompt), 1)
        except APIStatusError as error:
            raise self._failure(error) from error

    # Failures.

    def _guarded(
        self, ask: Callable[[list[Usage]], tuple[R, Usage]], prompt_tokens: int, max_tokens: int
    ) -> tuple[R, Usage]:
        """One request within the budget and the breaker, tried again where that may help.

        Raises:
            openai.APIStatusError: the server answered with an error.
            ModelError: all else.
        """
        from openai import APIConnectionError, APIStatusError
        from pybreaker import CircuitBreakerError

        room = max_tokens + (REASONING_TOKENS if self._reasons else 0)

        def one_try() -> tuple[R, Usage]:
            with self._account.call(prompt_tokens=prompt_tokens, max_tokens=room) as used:
                return self._in_turn(lambda: ask(used))

        try:
            tries = TRIES if self._proven else TRIES_UNHEARD
            answer: tuple[R, Usage] = self._breaker.call(again, one_try, tries, self._interrupted)
            return answer
        except (APIStatusError, ModelError, _NoStreamError):
            raise
        except CircuitBreakerError as error:
            raise ModelError(
                f"{self.spec!r} failed {FAILURES} times in a row and is left alone for {PAUSE_SECONDS:.0f} s: try "
                "again later, or use another model",
                retryable=True,
            ) from error
        except APIConnectionError as error:
            address = _without_secret(str(self._client.base_url))
            raise ModelError(
                f"no answer from {address} for {self.spec!r} ({error}): is the server running?", retryable=True
            ) from error
        except Exception as error:
            told = f"{type(error).__name__}: {str(error)[:99]}"
            if unheard(error):
                raise ModelError(
                    f"the answer of {self.spec!r} broke off ({told}): try again", retryable=True
                ) from error
            raise ModelError(
                f"what {self.spec!r} answered is no completion ({told}): is the address that of an OpenAI-compatible "
                "server, as in http://127.0.0.1:8000/v1?"
            ) from error

    def _in_turn(self, ask: Callable[[], R]) -> R:
        """Side by side with others until an answer breaks off: llama.cpp's server breaks one off for the next."""
        with self._alone if self._one_by_one else nullcontext():
            try:
                return ask()
            except Exception as error:
                self._one_by_one = self._one_by_one or unheard(error)
                raise

    def _failure(self, error: Any) -> ModelError:
        code = error.status_code
        hint = {
            401: "check OPENAI_API_KEY",
            403: "this key may not use the model",
            404: "check the model's name and the address",
            429: "wait, or ask for a higher limit",
        }.get(code, "try again, or use another model")
        said = str(error.message).replace(self._secret, "***")[:160]
        return ModelError(
            f"{self.spec!r} answered {code}: {said}; {hint}",
            retryable=code in (408, 429, 500, 502, 503),
        )


class _NoStreamError(Exception):
    """The server knows no streams: what came held no piece of one."""


def _too_long(error: Any) -> bool:
    """Whether the prompt does not fit the model's context."""
    said = str(error.message).casefold()
    return error.code == "context_length_exceeded" or "context length" in said or "context size" in said


@contextmanager
def _deadline(pieces: Any) -> Iterator[threading.Event]:
    """Ends a stream that takes too long; the event tells that it did."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(Exception):
            pieces.response.close()

    timer = threading.Timer(LONGEST_REPLY_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield late
    except Exception:
        if not late.is_set():
            raise
    finally:
        timer.cancel()


def tokens_said(counted: Any, name: str) -> int | None:
    """A number of tokens that a server tells; None where it is no such number."""
    value = counted.get(name) if isinstance(counted, dict) else getattr(counted, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def _without_secret(address: str) -> str:
    """An address without the name and password that may stand in it."""
    return re.sub(r"(https?://)[^/@]*@", r"\1", address)


def _content(message: Any) -> str:
    """What a message says, or the arguments of the tool that it calls."""
    calls = getattr(message, "tool_calls", None) or []
    return "".join([str(message.content or ""), *(str(call.function.arguments or "") for call in calls[:1])])


def _settings(max_tokens: int, reasons: bool) -> dict[str, Any]:
    """A model that reasons takes no temperature and counts its thoughts among the tokens written."""
    if reasons:
        return {"max_completion_tokens": max_tokens + REASONING_TOKENS}
    return {"max_tokens": max_tokens, "temperature": 0.0}


def _json_schema(schema: dict[str, Any], name: str) -> dict[str, Any]:
    shape = {"name": name, "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": shape}}


def _tool(schema: dict[str, Any], name: str) -> dict[str, Any]:
    function = {"name": name, "parameters": schema}
    return {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": name}},
    }


_FORMS: list[tuple[str, Callable[[dict[str, Any], str], dict[str, Any]]]] = [
    ("json_schema", _json_schema),
    ("json_object with schema", lambda schema, name: {"response_format": {"type": "json_object", "schema": schema}}),
    ("tool", _tool),
    ("json_object", lambda schema, name: {"response_format": {"type": "json_object"}}),
    ("words", lambda schema, name: {}),
]
"""From the strictest to none: OpenAI's structured output, llama.cpp's, a forced tool, JSON mode, plain words."""
