"""A model behind an OpenAI-compatible server, such as OpenAI itself, vLLM, llama.cpp or a gateway."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from whimbrel.agent.language_models.hosted.address import OPENAI, api_key, hide_credentials, server_address
from whimbrel.agent.language_models.hosted.budget import Account, Budget, BudgetError
from whimbrel.agent.language_models.hosted.connection import Connection, NoStreamError
from whimbrel.agent.language_models.hosted.dialect import REASONING_TOKENS, Dialect
from whimbrel.agent.language_models.hosted.prices import price_of
from whimbrel.agent.language_models.hosted.replies import (
    CUT,
    Answer,
    BrokenOffError,
    no_value,
    read_completion,
    read_reply,
)
from whimbrel.agent.language_models.hosted.retry import MAX_SILENT_SECONDS
from whimbrel.agent.language_models.hosted.server_errors import ServerError
from whimbrel.agent.language_models.parsers import strict_schema
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
IMAGE_TOKENS = 3000
"""The most tokens of a small image. gpt-4o-mini counts 2,833 for one, other models 85 to 1,500."""
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
            ConfigError: The key or the price is missing, or the key or the address is not valid.
        """
        base_url = server_address(base_url)
        key = api_key(base_url, spec=spec)
        self.spec = hide_credentials(spec)
        # the server that is really asked, also if OPENAI_BASE_URL names it: another server's replies may differ
        self.digest = f"{model}@{hide_credentials(base_url or 'openai')}"
        self.count_tokens = TokenCounter(model)
        self._model = model
        self._price = price_of(model)
        account = Account(budget or Budget(), self._price, model=model)
        self._connection = Connection(
            key, base_url or OPENAI, spec=self.spec, account=account, timeout_seconds=timeout_seconds
        )
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
        """Return one reply per conversation. Several requests run at once.

        If the server fails for some conversations only, those get no value.
        """

        def reply_or_error(messages: Sequence[Message]) -> Generation[T] | ModelError:
            try:
                return self._reply(messages, schema, max_tokens)
            except BudgetError:
                raise
            except ModelError as error:
                return error

        replies = self._connection.map(reply_or_error, conversations)
        errors = [reply for reply in replies if isinstance(reply, ModelError)]
        if errors and len(errors) == len(replies):
            raise errors[0]
        return [no_value(NO_USAGE, str(reply)) if isinstance(reply, ModelError) else reply for reply in replies]

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
        prompt_tokens = self._prompt_tokens(messages) + self.count_tokens(json.dumps(strict_schema(schema)))
        format_before, start = self._dialect.reply_format, time.monotonic()
        spent = NO_USAGE
        while True:
            dialect = self._dialect
            most_tokens = dialect.most_tokens(max_tokens)
            ask = partial(self._ask, messages, schema, max_tokens, dialect)
            try:
                answer, usage = self._connection.request(ask, prompt_tokens=prompt_tokens, max_tokens=most_tokens)
            except NoStreamError:
                self._change(dialect, replace(dialect, streams=False))
                continue
            except ServerError as error:
                if error.is_too_long and self._change(dialect, dialect.with_less_room()):
                    continue
                if error.is_too_long or error.is_filtered:
                    return no_value(spent, self._reason(error))
                is_late = time.monotonic() - start > MAX_SILENT_SECONDS
                may_help = error.status in _MAYBE_UNKNOWN_SETTING and not is_late
                if may_help and self._change(dialect, dialect.simpler(error)):
                    continue
                with self._lock:  # the format was not the reason, so later requests use it again
                    self._dialect = replace(self._dialect, reply_format=format_before)
                raise self._connection.failure(error) from error
            self._connection.has_replied = True
            if answer.has_only_thoughts and not spent.llm_calls and self._change(dialect, dialect.with_more_room()):
                spent = usage
                continue
            return read_reply(answer, schema, spent + usage, most_tokens=most_tokens)

    def _reason(self, error: ServerError) -> str:
        """Return why the server refused a prompt."""
        sentence = self._connection.public(error)
        if error.is_too_long:
            return f"the prompt is too long for the context of {self.spec!r}: {sentence}"
        return f"the content filter of {self.spec!r} held the reply back: {sentence}"

    def _change(self, asked: Dialect, new: Dialect | None) -> bool:
        """Use another dialect from now on. Return False if there is none."""
        with self._lock:
            if asked != self._dialect:
                return True  # another thread has changed it in the meantime
            self._dialect = new or asked
            return new is not None

    def _ask(
        self,
        messages: Sequence[Message],
        schema: type[T],
        max_tokens: int,
        dialect: Dialect,
        used: list[Usage],
        timeout_seconds: float,
    ) -> tuple[Answer, Usage]:
        """Send one request. Return the answer and its cost, and append the cost to `used`."""
        settings = {
            "model": self._model,
            "messages": dialect.messages([{**m, "content": _CONTROL_TOKEN.sub("< ", m["content"])} for m in messages]),
            "timeout": timeout_seconds,
            **dialect.settings(schema, max_tokens),
        }
        if dialect.streams:
            if dialect.counts_in_streams:
                settings["stream_options"] = {"include_usage": True}
            room = max(dialect.thought_tokens, REASONING_TOKENS)
            answer = self._read_stream(settings, messages, MAX_CHARACTERS_PER_TOKEN * (max_tokens + room), used)
        else:
            create = self._connection.client.chat.completions.with_streaming_response.create
            with create(**settings) as response, self._deadline(response.http_response):
                answer = read_completion(response.text())
        used.append(self._usage(answer.counts, messages, answer.written))
        return answer, used[-1]

    def _read_stream(
        self, settings: dict[str, Any], messages: Sequence[Message], most_characters: int, used: list[Usage]
    ) -> Answer:
        """Return a streamed answer, cut at `most_characters`."""
        answer, has_pieces = Answer(), False
        create = self._connection.client.chat.completions.create
        try:
            with create(stream=True, **settings) as pieces, self._deadline(pieces.response):
                for piece in pieces:
                    has_pieces = True
                    answer.add(piece.to_dict(mode="python", warnings=False) if hasattr(piece, "to_dict") else piece)
                    if len(answer.text) + len(answer.thoughts) > most_characters:
                        answer.finish_reason = CUT
                        break
            if has_pieces and answer.breaks_off:
                raise BrokenOffError("the stream ended in the middle of the reply")
        except Exception:
            if answer.written:  # the server has written this text, so it counts in the budget
                used.append(self._usage(None, messages, answer.written))
            raise
        if not has_pieces:
            raise NoStreamError
        return answer

    @contextmanager
    def _deadline(self, response: Any) -> Iterator[None]:
        """End an answer after MAX_REPLY_SECONDS.

        Raises:
            ModelError: The answer was ended.
        """
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            with suppress(Exception):
                response.close()

        timer = threading.Timer(MAX_REPLY_SECONDS, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception:
            if not is_late.is_set():  # if it is set, closing the answer caused the error
                raise
        finally:
            timer.cancel()
        if is_late.is_set():
            self._connection.pause()
            raise ModelError(f"{self.spec!r} took over {MAX_REPLY_SECONDS:.0f} s for a reply: use a faster model")

    def _usage(self, counts: Any, messages: Sequence[Message], text: str) -> Usage:
        """Return the server's token counts, or our own estimate if it gives none."""
        prompt_tokens = reported_tokens(counts, "prompt_tokens")
        completion_tokens = reported_tokens(counts, "completion_tokens")
        prompt_tokens = self._prompt_tokens(messages) if prompt_tokens is None else prompt_tokens
        details = counts.get("prompt_tokens_details") if isinstance(counts, dict) else None
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
        images = sum("image" in message for message in messages)
        words = sum(self.count_tokens(message["content"]) + MESSAGE_TOKENS for message in messages)
        return words + IMAGE_TOKENS * images

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

        def ask(used: list[Usage], timeout_seconds: float) -> tuple[R, Usage]:
            reply = self._connection.client.completions.create(
                model=self._model, prompt=prompt, max_tokens=1, temperature=0.0, timeout=timeout_seconds, **settings
            )
            prompt_tokens = reported_tokens(reply.usage, "prompt_tokens")
            prompt_tokens = self.count_tokens(prompt) if prompt_tokens is None else prompt_tokens
            used.append(self._with_cost(Usage(llm_calls=1, prompt_tokens=prompt_tokens)))
            return read(reply.choices[0].logprobs), used[-1]

        most_tokens = self._dialect.most_tokens(1)
        try:
            return self._connection.request(ask, prompt_tokens=self.count_tokens(prompt), max_tokens=most_tokens)
        except ServerError as error:
            raise self._connection.failure(error) from error
