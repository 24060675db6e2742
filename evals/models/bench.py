"""How fast a model is here: with all that Whimbrel does, beside bare llama.cpp doing the same in the same run."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from whimbrel.agent.language_models.local.llama import Row
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.language_models.specs import open_some_model
from whimbrel.evals.models.recording import Recording
from whimbrel.evals.models.sample import NAMES, sample_request
from whimbrel.prompts import Message

READ, WRITTEN, SCORED, PREFIX = 256, 32, 20, 400
ROUNDS = 3


@dataclass(frozen=True)
class Speed:
    """One thing timed: `ours` and `bare` in `unit`, medians of ROUNDS; None where there is nothing to compare with."""

    name: str
    ours: float
    bare: float | None
    unit: str
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the bare time ours takes."""
        if not self.bare:
            return None
        return self.ours / self.bare if self.unit.startswith("s") else self.bare / self.ours


class LongReply(BaseModel):
    """A reply that takes as many tokens as it may."""

    words: str = Field(min_length=400)


def bench(spec: str, *, tell: Callable[[str], None] | None = None) -> Iterator[Speed]:
    """Speeds of the model of a spec, as they are found.

    Raises:
        ConfigError: the spec names no model.
        ModelError: it cannot be loaded or reached.
    """
    started = time.perf_counter()
    llm = open_some_model(spec, tell=tell)
    form = llm.form.words if isinstance(llm, LocalModel) else ""
    yield Speed("opening", time.perf_counter() - started, None, "s", form)
    if isinstance(llm, LocalModel):
        yield _reading(llm)
        yield _writing(llm)
        yield from _scoring(llm)
        yield _requests_locally(llm)
    else:
        yield from _requests_hosted(llm)


def _reading(llm: LocalModel) -> Speed:
    text = "".join(f"- {name}\n" for name in NAMES)
    ours, bare = [], []
    for _ in range(ROUNDS):
        llm.forget()
        with Recording(llm.llama) as recording:
            ours.append(_timed(lambda: llm.log_likelihood(text, [" tea"])))
        rows = recording.rows
        llm.forget()
        bare.append(recording.replay())
    llm.forget()
    return Speed("reading", rows / _median(ours), rows / _median(bare), "tokens/s")


def _writing(llm: LocalModel) -> Speed:
    asked: list[Message] = [Message(role="user", content="Say what you know of tea, as JSON.")]
    ours = []
    llm.generate([asked], schema=LongReply, max_tokens=1)
    for _ in range(ROUNDS):
        one, many = (
            _timed(lambda most=most: llm.generate([asked], schema=LongReply, max_tokens=most))  # type: ignore[misc]
            for most in (1, WRITTEN + 1)
        )
        ours.append(many - one)
    bare = [_bare_writing(llm) for _ in range(ROUNDS)]
    return Speed("writing, held to a schema", WRITTEN / _median(ours), WRITTEN / _median(bare), "tokens/s")


def _bare_writing(llm: LocalModel) -> float:
    llm.forget()
    llm.llama.decode([Row(100 + n, n, 0, n == 39) for n in range(40)])
    calls = [llm.llama.prepared([Row(200 + n, 40 + n, 0, True)]) for n in range(WRITTEN)]

    def write() -> None:
        for call in calls:
            call()
            llm.llama.wait()

    seconds = _timed(write)
    llm.forget()
    return seconds


def _scoring(llm: LocalModel) -> Iterator[Speed]:
    """Candidates behind one prefix, in a batch and one by one, each from nothing; then with the prefix restored."""
    prompt = ""
    for name in NAMES:
        if llm.count_tokens(prompt + f"- {name}\n") > PREFIX:
            break
        prompt += f"- {name}\n"
    texts = [f" {name}\n" for name in NAMES[-SCORED:]]
    together, singly, again = [], [], []
    for _ in range(ROUNDS):
        llm.forget()
        together.append(_timed(lambda: llm.log_likelihood(prompt, texts)))
        llm.log_likelihood("- Something else\n" * 60, [" tea"])
        again.append(_timed(lambda: llm.log_likelihood(prompt, texts)))
    for text in texts:
        llm.forget()
        singly.append(_timed(lambda text=text: llm.log_likelihood(prompt, [text])))  # type: ignore[misc]
    llm.forget()
    tokens = llm.count_tokens(prompt)
    shared, single = _median(together), sum(singly)
    note = f"one by one {single:.2f} s, {single / shared:.1f} times as long"
    yield Speed(f"{SCORED} candidates behind {tokens} tokens", shared, None, "s", note)
    restored = _median(again)
    note = f"{shared / restored:.1f} times as fast as with the prefix read"
    yield Speed("the same, prefix restored", restored, None, "s", note)


def _requests_locally(llm: LocalModel) -> Speed:
    sample_request(llm, 0)
    ours, bare, cached, read, written = [], [], 0, 0, 0
    for number in range(1, ROUNDS + 1):
        llm.forget()
        with Recording(llm.llama) as recording:
            started = time.perf_counter()
            usage = sample_request(llm, number).usage
            ours.append(time.perf_counter() - started)
        read, written = read + usage.prompt_tokens, written + usage.completion_tokens
        cached += usage.cached_tokens
        llm.forget()
        bare.append(recording.replay())
        llm.forget()
    note = (
        f"each {(read - cached) / ROUNDS:.0f} tokens read afresh, {cached / read:.0%} of prompt tokens from a prefix, "
        f"{written / ROUNDS:.0f} written"
    )
    return Speed("requests", 1 / _median(ours), 1 / _median(bare), "requests/s", note)


def _requests_hosted(llm: LanguageModel) -> Iterator[Speed]:
    asked: list[Message] = [Message(role="user", content="Say what you know of tea, as JSON.")]
    first: list[float] = []
    rates: list[float] = []
    for _ in range(ROUNDS):
        first.append(_timed(lambda: llm.generate([asked], schema=LongReply, max_tokens=1)))
        started = time.perf_counter()
        (reply,) = llm.generate([asked], schema=LongReply, max_tokens=WRITTEN)
        rates.append(reply.usage.completion_tokens / (time.perf_counter() - started))
    yield Speed("a reply of one token", _median(first), None, "s")
    yield Speed("writing, from the question to the end", _median(rates), None, "tokens/s")
    seconds: list[float] = []
    usage: Any = None
    for number in range(1, ROUNDS + 1):
        started = time.perf_counter()
        usage = sample_request(llm, number).usage
        seconds.append(time.perf_counter() - started)
    note = (
        f"the last: {usage.prompt_tokens} tokens read ({usage.cached_tokens} cached), {usage.completion_tokens} written"
    )
    yield Speed("requests", 1 / _median(seconds), None, "requests/s", note)


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _median(values: list[float]) -> float:
    return statistics.median(values)
