"""A model behind an OpenAI-compatible server, such as OpenAI itself, vLLM, llama.cpp or a gateway."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from whimbrel.agent.language_models.hosted.budget import Account, Budget, BudgetError
from whimbrel.agent.language_models.hosted.connection import Connection, NoStreamError, api_key, hide_credentials
from whimbrel.agent.language_models.hosted.dialect import REASONING_TOKENS, Dialect
from whimbrel.agent.language_models.hosted.prices import price_of
from whimbrel.agent.language_models.parsers import parse_reply, strict_schema
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, Likelihoods, T, Usage
from whimbrel.agent.language_models.tokens import TokenCounter, reported_tokens
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

TIMEOUT_SECONDS = 60.0
"""The longest wait for the next piece of a reply."""
MAX_REPLY_SECONDS = 180.0
"""The longest time for a whole reply."""
MAX_CHARACTERS_PER_TOKEN = 16
"""A reply is cut if it has more characters than this per token of `max_tokens`. Its server ignores that limit."""
MESSAGE_TOKENS = 8
"""The most tokens that a chat template adds to a message."""
AGREEMENT_NATS = 0.5
"""The largest allowed difference between two likelihoods of the same token: one read in a prompt, one written.

Some difference is normal, since a quantised model computes slightly other numbers in a batch of another size.
"""

# The start of a text that a server's chat template might read as a control token, such as <|im_end|> or </s>.
_CONTROL_TOKEN = re.compile(r"<(?=[|/a-z_｜])", re.IGNORECASE)
# Prompts on which likelihoods are compared. One is not ASCII, so offsets in bytes and in characters differ in it.
_PROBES = ("The capital of France is", "One, two, three,", "Un café crème et un thé")
# Status codes that may mean that the server does not know a setting or a reply format.
_MAYBE_UNKNOWN_SETTING = (400, 404, 422, 500, 501)

R = TypeVar("R")


class HostedModel:
    """A language model on a server. It is asked for replies in the strictest format that the server accepts.

    A setting that the server refuses is left out of all later requests. Several threads may share the model.
    """

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
        """Prepare the model without sending anything.

        Args:
            model: The model's name on the server.
            base_url: The server's address; None for OpenAI's own.
            spec: The model's name in messages to the user.
            budget: Limit on the total of all calls of the model.
            timeout_seconds: The longest wait for the next piece of a reply.

        Raises:
            ConfigError: The key or the price is missing, or the address is not valid.
        """
        key = api_key(base_url, spec=spec)
        self.spec = hide_credentials(spec)
        self.digest = f"{model}@{hide_credentials(base_url or 'openai')}"
        self.count_tokens = TokenCounter(model)
        self._model = model
        self._price = price_of(model)
        account = Account(budget or Budget(), self._price, model=model)
        self._connection = Connection(key, base_url, spec=self.spec, account=account, timeout_seconds=timeout_seconds)
        # OpenAI's chat models give no likelihoods of a prompt. Any other server has to be asked first.
        self._scores: bool | None = None if base_url is not None else False
        self._lock = threading.Lock()
        self._dialect = Dialect()

    @property
    def reply_format(self) -> str:
        """Name of the format that requests ask for at present, see `REPLY_FORMATS`."""
        return self._dialect.format_name

    @property
    def scores(self) -> bool:
        """Whether the server gives correct likelihoods of the tokens of a prompt.

        The server is asked until it answers, and its answer is kept. The likeliest next tokens are compared: each must
        have about the same likelihood when it is written and when it is read within a prompt. Some servers fail,
        since they give the likelihood of the neighbouring token.
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
        """Return one reply per conversation. Several requests run at once."""
        return self._connection.map(lambda messages: self._reply(messages, schema, max_tokens), conversations)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihood of each continuation. Each takes one request."""
        if not self.scores:
            raise ModelError(f"model {self.spec!r} gives no likelihoods")
        echoes = self._connection.map(lambda text: self._echo(prompt, text), continuations)
        return Likelihoods([sum(values) for values, _ in echoes], sum((usage for _, usage in echoes), NO_USAGE))

    def forget(self) -> None:
        """Do nothing: replies do not depend on earlier ones."""

    # Replies.

    def _reply(self, messages: Sequence[Message], schema: type[T], max_tokens: int) -> Generation[T]:
        """Ask for a reply. If the server refuses a setting, leave that setting out and ask again."""
        from openai import APIStatusError

        prompt_tokens = self._prompt_tokens(messages) + self.count_tokens(json.dumps(strict_schema(schema)))
        format_before = self._dialect.reply_format
        while True:
            dialect = self._dialect
            most_tokens = dialect.most_tokens(max_tokens)
            ask = partial(self._ask, messages, schema, max_tokens, dialect)
            try:
                text, usage = self._connection.request(ask, prompt_tokens=prompt_tokens, max_tokens=most_tokens)
                self._connection.has_replied = True
                return parse_reply(text, schema, usage)
            except APIStatusError as error:
                if _is_too_long(error):
                    return Generation(None, NO_USAGE, misfit=str(error.message)[:200])
                if error.status_code not in _MAYBE_UNKNOWN_SETTING or not self._give_way(error, dialect):
                    with self._lock:  # the format was not the reason, so later requests use it again
                        self._dialect = replace(self._dialect, reply_format=format_before)
                    raise self._connection.failure(error) from error
            except NoStreamError:
                with self._lock:
                    self._dialect = replace(self._dialect, streams=False)

    def _give_way(self, error: Any, refused: Dialect) -> bool:
        """Leave out the setting that the server most likely refused; return False if none is left."""
        with self._lock:
            if refused != self._dialect:
                return True  # another thread has left out a setting in the meantime
            simpler = refused.simpler(error)
            if simpler is None:
                return False
            self._dialect = simpler
            return True

    def _ask(
        self, messages: Sequence[Message], schema: type[T], max_tokens: int, dialect: Dialect, used: list[Usage]
    ) -> tuple[str, Usage]:
        """Send one request. Return the text of the reply and its cost, and append the cost to `used`."""
        settings = {
            "model": self._model,
            "messages": [{"role": m["role"], "content": _CONTROL_TOKEN.sub("< ", m["content"])} for m in messages],
            **dialect.settings(schema, max_tokens),
        }
        if dialect.streams:
            if dialect.counts_in_streams:
                settings["stream_options"] = {"include_usage": True}
            most_characters = MAX_CHARACTERS_PER_TOKEN * (max_tokens + REASONING_TOKENS)
            text, counts = self._read_stream(settings, messages, most_characters, used)
        else:
            reply = self._connection.client.chat.completions.create(**settings)
            text, counts = _content(reply.choices[0].message), reply.usage
        used.append(self._usage(counts, messages, text))
        return text, used[-1]

    def _read_stream(
        self, settings: dict[str, Any], messages: Sequence[Message], most_characters: int, used: list[Usage]
    ) -> tuple[str, Any]:
        """Return the text of a streamed reply, cut at `most_characters`, and the server's token counts if any."""
        text, counts, has_pieces = "", None, False
        create = self._connection.client.chat.completions.create
        try:
            with create(stream=True, **settings) as pieces, _deadline(pieces) as is_late:
                for piece in pieces:
                    has_pieces = True
                    counts = piece.usage or counts
                    text += "".join(_content(choice.delta) for choice in piece.choices[:1])
                    if len(text) > most_characters or is_late.is_set():
                        break
        except Exception:
            if text:  # the server has written this text, so it counts in the budget
                used.append(self._usage(None, messages, text))
            raise
        if is_late.is_set():
            raise ModelError(f"{self.spec!r} took over {MAX_REPLY_SECONDS:.0f} s for a reply: use another model")
        if not has_pieces:
            raise NoStreamError
        return text, counts

    def _usage(self, counts: Any, messages: Sequence[Message], text: str) -> Usage:
        """Return the server's token counts, or our own estimate if it gives none."""
        prompt_tokens = reported_tokens(counts, "prompt_tokens")
        completion_tokens = reported_tokens(counts, "completion_tokens")
        prompt_tokens = self._prompt_tokens(messages) if prompt_tokens is None else prompt_tokens
        details = getattr(counts, "prompt_tokens_details", None)
        return self._with_cost(
            Usage(
                llm_calls=1,
                prompt_tokens=prompt_tokens,
                cached_tokens=min(reported_tokens(details, "cached_tokens") or 0, prompt_tokens),
                completion_tokens=self.count_tokens(text) if completion_tokens is None else completion_tokens,
            )
        )

    def _with_cost(self, usage: Usage) -> Usage:
        return replace(usage, cost_usd=self._price.of(usage)) if self._price else usage

    def _prompt_tokens(self, messages: Sequence[Message]) -> int:
        return sum(self.count_tokens(message["content"]) + MESSAGE_TOKENS for message in messages)

    # Likelihoods.

    def _echo(self, prompt: str, text: str) -> tuple[list[float], Usage]:
        """Return the log-probabilities of the tokens of `text` after `prompt`."""
        whole = prompt + text

        def read(logprobs: Any) -> list[float]:
            return [
                float(value)
                for offset, value in zip(logprobs.text_offset, logprobs.token_logprobs, strict=True)
                if len(prompt) <= offset < len(whole)
            ]

        values, usage = self._complete(whole, read, echo=True, logprobs=1)
        if not values:
            raise ModelError(f"{self.spec!r} gave no likelihood of {text[:40]!r}")
        return values, usage

    def _agrees(self, prompt: str) -> bool:
        """Return whether the likeliest next tokens have the same likelihood within a prompt."""
        likeliest, _ = self._complete(prompt, lambda logprobs: dict(logprobs.top_logprobs[0]), logprobs=3)
        for token, value in sorted(likeliest.items(), key=lambda pair: -pair[1])[:2]:
            echoed, _ = self._echo(prompt, token)
            # "not <=" also refuses NaN
            if len(echoed) != 1 or not abs(echoed[0] - value) <= AGREEMENT_NATS:
                return False
        return bool(likeliest)

    def _complete(self, prompt: str, read: Callable[[Any], R], **settings: Any) -> tuple[R, Usage]:
        """Return the result of `read`, called with the log-probabilities of a prompt and of one token after it."""
        from openai import APIStatusError

        def ask(used: list[Usage]) -> tuple[R, Usage]:
            reply = self._connection.client.completions.create(
                model=self._model, prompt=prompt, max_tokens=1, temperature=0.0, **settings
            )
            prompt_tokens = reported_tokens(reply.usage, "prompt_tokens")
            prompt_tokens = self.count_tokens(prompt) if prompt_tokens is None else prompt_tokens
            used.append(self._with_cost(Usage(llm_calls=1, prompt_tokens=prompt_tokens)))
            return read(reply.choices[0].logprobs), used[-1]

        most_tokens = self._dialect.most_tokens(1)
        try:
            return self._connection.request(ask, prompt_tokens=self.count_tokens(prompt), max_tokens=most_tokens)
        except APIStatusError as error:
            raise self._connection.failure(error) from error


def _is_too_long(error: Any) -> bool:
    """Return whether the prompt does not fit the model's context."""
    message = str(error.message).casefold()
    return error.code == "context_length_exceeded" or "context length" in message or "context size" in message


@contextmanager
def _deadline(pieces: Any) -> Iterator[threading.Event]:
    """End a stream after MAX_REPLY_SECONDS. Yield an event that is set when this happens."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        with suppress(Exception):
            pieces.response.close()

    timer = threading.Timer(MAX_REPLY_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    except Exception:
        if not is_late.is_set():  # if it is set, closing the stream caused the error
            raise
    finally:
        timer.cancel()


def _content(message: Any) -> str:
    """Return the text of a message, followed by the arguments of the tool that it calls."""
    calls = getattr(message, "tool_calls", None) or []
    return "".join([str(message.content or ""), *(str(call.function.arguments or "") for call in calls[:1])])
