"""Speed of a model here, beside bare llama.cpp that makes the same calls in the same run."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from whimbrel.agent.language_models.local.llama import Row
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel
from whimbrel.agent.language_models.specs import open_some_model
from whimbrel.evals.models.recording import Recording
from whimbrel.evals.models.sample import NAMES, sample_request
from whimbrel.prompts import Message

WRITTEN = 32
"""Tokens of a reply that is timed."""
SCORED, PREFIX = 20, 400
"""Candidates that are scored after one prompt, and most tokens of that prompt."""
ROUNDS = 3
"""Every figure is the median of so many rounds."""

_QUESTION: list[Message] = [Message(role="user", content="Say what you know of tea, as JSON.")]


@dataclass(frozen=True)
class Speed:
    """One thing timed.

    Attributes:
        name: What was timed.
        ours: Median of ROUNDS, in `unit`.
        bare: The same of bare llama.cpp; None if there is nothing to compare with.
        unit: `s`, or things a second.
        note: What else there is to know.
    """

    name: str
    ours: float
    bare: float | None
    unit: str
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the time of bare llama.cpp ours takes."""
        if not self.bare:
            return None
        return self.ours / self.bare if self.unit.startswith("s") else self.bare / self.ours


class LongReply(BaseModel):
    """Reply that takes as many tokens as it may: the least length is beyond them."""

    words: str = Field(min_length=400)


def bench(spec: str, *, tell: Callable[[str], None] | None = None) -> Iterator[Speed]:
    """Time the model of a spec and yield each speed as soon as it is known.

    Args:
        spec: A model spec.
        tell: Called with a sentence before a step that takes long.

    Raises:
        ConfigError: The spec names no model.
        ModelError: The model cannot be loaded or reached.
    """
    started = time.perf_counter()
    llm = open_some_model(spec, tell=tell)
    build = llm.build.description if isinstance(llm, LocalModel) else ""
    yield Speed("opening", time.perf_counter() - started, None, "s", build)
    if isinstance(llm, LocalModel):
        yield _time_reading(llm)
        yield _time_writing(llm)
        yield from _time_scoring(llm)
        yield _time_local_requests(llm)
    else:
        yield from _time_hosted(llm)


def _time_reading(llm: LocalModel) -> Speed:
    text = "".join(f"- {name}\n" for name in NAMES)
    ours, bare, tokens = [], [], 0
    for _ in range(ROUNDS):
        llm.forget()
        with Recording(llm.llama) as recording:
            ours.append(_seconds(lambda: llm.log_likelihood(text, [" tea"])))
        tokens = recording.rows
        llm.forget()
        bare.append(recording.replay())
    llm.forget()
    return Speed("reading", tokens / statistics.median(ours), tokens / statistics.median(bare), "tokens/s")


def _time_writing(llm: LocalModel) -> Speed:
    llm.generate([_QUESTION], schema=LongReply, max_tokens=1)  # the prompt is read, the grammar compiled
    ours = []
    for _ in range(ROUNDS):
        first_token, whole = (
            _seconds(lambda most=most: llm.generate([_QUESTION], schema=LongReply, max_tokens=most))  # type: ignore[misc]
            for most in (1, WRITTEN + 1)
        )
        ours.append(whole - first_token)
    bare = [_bare_writing_seconds(llm) for _ in range(ROUNDS)]
    name = "writing, held to a schema"
    return Speed(name, WRITTEN / statistics.median(ours), WRITTEN / statistics.median(bare), "tokens/s")


def _bare_writing_seconds(llm: LocalModel) -> float:
    llm.forget()
    # any tokens do: llama.cpp takes as long for all of them
    llm.llama.decode([Row(100 + n, n, 0, n == 39) for n in range(40)])
    calls = [llm.llama.prepare_decode([Row(200 + n, 40 + n, 0, True)]) for n in range(WRITTEN)]

    def write() -> None:
        for call in calls:
            call()
            llm.llama.synchronise()  # as a reply is written: each token depends on the one before

    seconds = _seconds(write)
    llm.forget()
    return seconds


def _time_scoring(llm: LocalModel) -> Iterator[Speed]:
    """Time candidates after one prompt: in a batch, each from nothing, and with the prompt's state restored."""
    prompt = ""
    for name in NAMES:
        if llm.count_tokens(prompt + f"- {name}\n") > PREFIX:
            break
        prompt += f"- {name}\n"
    texts = [f" {name}\n" for name in NAMES[-SCORED:]]
    batched, restored, singly = [], [], []
    for _ in range(ROUNDS):
        llm.forget()
        batched.append(_seconds(lambda: llm.log_likelihood(prompt, texts)))
        llm.log_likelihood("- Something else\n" * 60, [" tea"])  # now the prompt's state must be restored
        restored.append(_seconds(lambda: llm.log_likelihood(prompt, texts)))
    for text in texts:
        llm.forget()
        singly.append(_seconds(lambda text=text: llm.log_likelihood(prompt, [text])))  # type: ignore[misc]
    llm.forget()
    batch_seconds, single_seconds = statistics.median(batched), sum(singly)
    restored_seconds = statistics.median(restored)
    note = f"one by one {single_seconds:.2f} s, {single_seconds / batch_seconds:.1f} times as long"
    yield Speed(f"{SCORED} candidates behind {llm.count_tokens(prompt)} tokens", batch_seconds, None, "s", note)
    note = f"{batch_seconds / restored_seconds:.1f} times as fast as with the prefix read"
    yield Speed("the same, prefix restored", restored_seconds, None, "s", note)


def _time_local_requests(llm: LocalModel) -> Speed:
    sample_request(llm, 0)  # the fixed instructions are read and saved
    ours, bare, usage = [], [], NO_USAGE
    for number in range(1, ROUNDS + 1):
        llm.forget()
        with Recording(llm.llama) as recording:
            started = time.perf_counter()
            usage += sample_request(llm, number).usage
            ours.append(time.perf_counter() - started)
        llm.forget()
        bare.append(recording.replay())
        llm.forget()
    note = (
        f"each {(usage.prompt_tokens - usage.cached_tokens) / ROUNDS:.0f} tokens read afresh, "
        f"{usage.cached_tokens / usage.prompt_tokens:.0%} of prompt tokens from a prefix, "
        f"{usage.completion_tokens / ROUNDS:.0f} written"
    )
    return Speed("requests", 1 / statistics.median(ours), 1 / statistics.median(bare), "requests/s", note)


def _time_hosted(llm: LanguageModel) -> Iterator[Speed]:
    first_token: list[float] = []
    rates: list[float] = []
    for _ in range(ROUNDS):
        first_token.append(_seconds(lambda: llm.generate([_QUESTION], schema=LongReply, max_tokens=1)))
        started = time.perf_counter()
        (reply,) = llm.generate([_QUESTION], schema=LongReply, max_tokens=WRITTEN)
        rates.append(reply.usage.completion_tokens / (time.perf_counter() - started))
    yield Speed("a reply of one token", statistics.median(first_token), None, "s")
    yield Speed("writing, from the question to the end", statistics.median(rates), None, "tokens/s")
    seconds: list[float] = []
    usage = NO_USAGE
    for number in range(1, ROUNDS + 1):
        started = time.perf_counter()
        usage = sample_request(llm, number).usage
        seconds.append(time.perf_counter() - started)
    note = (
        f"the last: {usage.prompt_tokens} tokens read ({usage.cached_tokens} cached), {usage.completion_tokens} written"
    )
    yield Speed("requests", 1 / statistics.median(seconds), None, "requests/s", note)


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
