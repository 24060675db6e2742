"""Errors that a server answers, in the many forms that servers and gateways give them."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time
from typing import Any

MAX_DEPTH = 8
"""Errors are searched this deep. Gateways wrap the error of the server behind them a few times at most."""

# The fields in which servers write sentences for people.
_SENTENCES = ("message", "msg", "detail", "error", "error_description", "reason", "title", "raw", "")
# These fields repeat the request, so their words are not the server's.
_ECHOES = ("input", "body", "request", "messages", "prompt")
_STATUS_FIELDS = ("code", "status", "status_code", "http_status")
_WEB_PAGE = re.compile(r"<(!doctype|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)

# Words for a prompt that is too long: OpenAI, llama.cpp, vLLM, TGI, Anthropic, Mistral, Groq, DeepInfra.
_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|max(imum)?[ _](model|context)[ _]len|maximum (context|model)\b"
    r"|prompt (is )?(too (long|large)|contains too many)|inputs?`? (must have less|(is|are) too (long|large)|tokens \+)"
    r"|input (length|tokens?) (exceed|and)|input token count|range of input length|too many (input |prompt )?tokens"
    r"|max_new_tokens`? must be|string_above_max_length|(reduce|shorten) (the length|your prompt)"
    r"|(request|payload|entity|input) too (large|long)"
)
_FILTERED = re.compile(
    r"content[ _-]?(filter|management|policy|moderation)|responsible ?ai|safety (system|filter|polic)"
    r"|(input|prompt) (was |is )?(flagged|blocked)|flagged (by|as|for)|data_?inspection|inappropriate content"
)
_NO_CREDIT = re.compile(r"insufficient[ _](quota|credit|balance|funds)|billing|exceeded your current quota")
# The likeliest status of an error that a server sends with status 200.
_STATUS_WORDS = (
    (429, re.compile(r"rate.?limit|too many requests|quota")),
    (503, re.compile(r"overloaded|unavailable|capacity")),
    (401, re.compile(r"api.?key|unauthori[sz]ed|authentication")),
    (404, re.compile(r"model.{0,60}(not found|not exist)|no such model")),
    (400, re.compile(r"invalid.?request|bad.?request|unsupported|not support|unknown (field|param)")),
)
_MAYBE_TOO_LONG = (400, 422, 500)
_MAYBE_FILTERED = (400, 403, 422, 451, 500)


class ServerError(Exception):
    """An error that a server answered, either with an error status or within an answer of status 200.

    Attributes:
        status: The HTTP status. For an error in an answer of status 200, the status that fits its words.
        sentence: What the server said, for people.
        text: All words of the error and the names of their fields, in lower case. Servers put the reason in different
            fields.
        param: The setting that the server refuses; empty if it names none.
        retry_after_seconds: How long the server asks to wait; 0 if it does not say.
        in_answer: Whether the error came in an answer of status 200.
    """

    def __init__(self, body: Any, *, status: int | None = None, retry_after: str = "") -> None:
        """Read an error.

        Args:
            body: The body of the answer, or the error within it: plain JSON values or text.
            status: The HTTP status; None if it was 200.
            retry_after: The header `Retry-After`.
        """
        fields = list(_texts(body))
        self.text = " ".join(f"{name} {text}" for name, text in fields).strip().casefold()
        sentences = dict.fromkeys(_without_tags(text) for name, text in fields if name in _SENTENCES)
        self.sentence = "; ".join(filter(None, sentences)) or self.text or "no reason given"
        self.param = next((text.casefold() for name, text in fields if name == "param"), "")
        self.in_answer = status is None
        self.status = _likely_status(fields, self.text) if status is None else status
        self.retry_after_seconds = _seconds(retry_after)
        super().__init__(self.sentence)

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt does not fit the model."""
        if self.status in (413, 429):  # 429 is also the answer to a prompt above the limit of a minute
            return self.status == 413 or "request too large" in self.text
        return self.status in _MAYBE_TOO_LONG and bool(_TOO_LONG.search(self.text))

    @property
    def is_filtered(self) -> bool:
        """Whether a content filter refused the prompt or the reply."""
        return self.status in _MAYBE_FILTERED and bool(_FILTERED.search(self.text))

    @property
    def is_busy(self) -> bool:
        """Whether the server can be asked again later."""
        # 501 means that the server lacks a function. Waiting does not restore a used-up credit.
        may_pass = (self.status in (408, 409, 429) or self.status > 500) and self.status != 501
        return may_pass and not self._lacks_credit and not self.is_too_long

    @property
    def advice(self) -> str:
        """What the user can do."""
        if self._lacks_credit:
            return "the account has no credit left: add credit, or use another model"
        if self.status == 429 or self.status > 501:
            wait = f"the server asks to wait {self.retry_after_seconds:.0f} s: " if self.retry_after_seconds else ""
            return f"{wait}try again later, or use another model"
        return {
            401: "check OPENAI_API_KEY",
            403: "this key may not use the model: use another key or model",
            404: "check the model's name and the address",
            405: "check the address, for example http://127.0.0.1:8000/v1",
            407: "the proxy wants a name and a password: check HTTP_PROXY and HTTPS_PROXY",
        }.get(self.status, "try again, or use another model")

    @property
    def _lacks_credit(self) -> bool:
        return self.status == 402 or (self.status in (400, 403, 429) and bool(_NO_CREDIT.search(self.text)))


def says_anything(error: Any) -> bool:
    """Return whether an error within an answer is one. Some gateways send empty fields with each answer."""
    return any(text.strip() not in ("", "0") for _, text in _texts(error))


def read_status_error(error: Any) -> ServerError:
    """Return an `openai.APIStatusError` as a ServerError."""
    response = error.response
    body: Any = response.text
    with suppress(ValueError, RecursionError):
        body = json.loads(body)
    return ServerError(body, status=error.status_code, retry_after=response.headers.get("retry-after", ""))


def _texts(value: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield each text and number in an error with the name of its field. Errors written as JSON texts are opened."""
    if depth > MAX_DEPTH or name in _ECHOES:
        return
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name, depth + 1)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield name, str(value)


def _without_tags(text: str) -> str:
    """Return a text in one line. Of a web page, its title is enough."""
    if _WEB_PAGE.search(text):
        title = _TITLE.search(text)
        text = f"a web page: {title[1] if title else _TAG.sub(' ', text)}"
    return " ".join(text.split())


def _likely_status(fields: list[tuple[str, str]], text: str) -> int:
    for name, value in fields:
        if name in _STATUS_FIELDS and value.isdecimal() and 400 <= int(value) < 600:
            return int(value)
    return next((status for status, words in _STATUS_WORDS if words.search(text)), 500)


def _seconds(retry_after: str) -> float:
    """Return the seconds in a header `Retry-After`, which holds a number or a date; 0 if it holds neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - time()
        except (ValueError, TypeError):
            return 0.0
    return max(seconds, 0.0) if isfinite(seconds) else 0.0
