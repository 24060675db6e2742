"""Whether a model does what is asked of it here, found out by asking."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.agent.language_models.local.llama import Row, log_probabilities
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.option_scores import order
from whimbrel.agent.language_models.protocol import LanguageModel, Usage
from whimbrel.agent.language_models.specs import open_some_model
from whimbrel.evals.models.sample import NAMES, UNRELATED
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

QUESTIONS = ("the sky on a clear day", "fresh grass", "a ripe lemon", "snow", "a fire engine")
LISTS, LISTED = 12, 8
"""Lists of unrelated words, and words in each, by which the bias to positions is measured."""
EXACT_NATS, QUANTISED_NATS = 1e-3, 0.7
"""How far likelihoods may be from those of one text at a time, with weights in 32 bits and with fewer."""


@dataclass(frozen=True)
class Finding:
    """One thing found out: `ok` is None where it is only told. `figures` are the numbers in `words`."""

    name: str
    ok: bool | None
    words: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bias:
    """Spearman correlation, mean over lists with its 95% interval, between an option's place in the prompt and its
    place in the order given; 0 without bias, 1 where the model repeats what it is shown. `lists` gave an order."""

    mean: float
    low: float
    high: float
    lists: int
    usage: Usage


class ColourReply(BaseModel):
    """What is asked to see whether a reply fits a schema."""

    colour: str = Field(min_length=3, max_length=12)


def check(spec: str, *, tell: Callable[[str], None] | None = None) -> Iterator[Finding]:
    """Findings on the model of a spec, as they come in.

    Raises:
        ConfigError: the spec names no model.
        ModelError: it cannot be loaded or reached.
    """
    started = time.perf_counter()
    llm = open_some_model(spec, tell=tell)
    seconds = time.perf_counter() - started
    how = llm.form.words if isinstance(llm, LocalModel) else "nothing asked yet"
    yield Finding("opens", True, f"in {seconds:.2f} s ({how})", {"seconds": seconds})
    yield _schema(llm)
    yield _likelihoods(llm)
    yield _counting(llm)
    for permutations in (1, 2):
        yield _bias(llm, permutations)


def position_bias(llm: LanguageModel, *, permutations: int) -> Bias:
    """How far the place of an option in the prompt decides its place in the order. The words are unrelated and their
    places drawn anew for each list, so nothing else does."""
    random = np.random.default_rng(0)
    found, usage = [], Usage()
    for _ in range(LISTS):
        words = [UNRELATED[place] for place in random.permutation(len(UNRELATED))[:LISTED]]
        weights = order(llm, history=[], wish="", options=words, permutations=permutations)
        usage += weights.usage
        if weights.values is not None and np.ptp(weights.values) > 0:
            places = np.argsort(np.argsort(-weights.values, kind="stable"), kind="stable")
            found.append(float(np.corrcoef(places, np.arange(LISTED))[0, 1]))
    mean = float(np.mean(found)) if found else 0.0
    error = 1.96 * float(np.std(found, ddof=1)) / len(found) ** 0.5 if len(found) > 1 else 0.0
    return Bias(mean, mean - error, mean + error, len(found), usage)


def direct_log_likelihood(llm: LocalModel, prompt: str, text: str) -> float:
    """The same likelihood with nothing shared: prompt and text read from the start, all in one sequence."""
    llm.forget()
    prefix, tokens = llm.llama.tokens(prompt, begin=True), llm.llama.tokens(text)
    rows = [Row(token, place, 0, place >= len(prefix) - 1) for place, token in enumerate([*prefix, *tokens[:-1]])]
    llm.llama.decode(rows)
    value = float(log_probabilities(llm.llama.logits(len(tokens)), tokens).sum())
    llm.forget()
    return value


def _schema(llm: LanguageModel) -> Finding:
    asked: list[list[Message]] = [
        [
            Message(role="system", content='You name a colour. Answer as JSON: {"colour": "..."}'),
            Message(role="user", content=f"What colour is {thing}?"),
        ]
        for thing in QUESTIONS
    ]
    replies = llm.generate(asked, schema=ColourReply, max_tokens=30)
    fitting = sum(reply.value is not None for reply in replies)
    repairs = sum(reply.usage.repairs for reply in replies)
    form = llm.reply_format if isinstance(llm, HostedModel) else "grammar" if isinstance(llm, LocalModel) else "its own"
    mended = f", {repairs} of them mended" if repairs else ""
    return Finding(
        "answers in a schema",
        fitting == len(replies),
        f"{fitting} of {len(replies)} replies fit{mended}; form: {form}",
        {"fitting": fitting, "asked": len(replies), "repairs": repairs},
    )


def _likelihoods(llm: LanguageModel) -> Finding:
    if not llm.scores:
        words = "not given, or not those of direct evaluation: candidates are ordered by their numbers instead"
        return Finding("gives likelihoods", None, words)
    if not isinstance(llm, LocalModel):
        return Finding("gives likelihoods", True, "those of a prompt agree with those of writing the same tokens")
    prompt = "What one person chose, in order, one a line:\n" + "".join(f"- {name}\n" for name in NAMES[:15]) + "-"
    texts = [f" {name}\n" for name in NAMES[15:27]]
    llm.forget()
    together = llm.log_likelihood(prompt, texts).values
    directly = [direct_log_likelihood(llm, prompt, text) for text in texts]
    worst = float(np.max(np.abs(np.array(together) - directly)))
    most = EXACT_NATS if ".F32." in llm.form.file.name else QUANTISED_NATS
    return Finding(
        "gives likelihoods",
        worst <= most,
        f"{len(texts)} texts in one batch differ from direct evaluation by {worst:.2g} nats at most ({most:g} allowed)",
        {"texts": len(texts), "worst_nats": worst, "allowed_nats": most},
    )


def _counting(llm: LanguageModel) -> Finding:
    own = "the model's own vocabulary" if isinstance(llm, LocalModel) else "its own way"
    how = getattr(llm.count_tokens, "how", own)
    tokens = llm.count_tokens(NAMES[0])
    return Finding("counts tokens", None, f"{tokens} in {NAMES[0]!r} ({how})", {"tokens": tokens})


def _bias(llm: LanguageModel, permutations: int) -> Finding:
    name = f"position bias, {permutations} order{'s' if permutations > 1 else ''}"
    try:
        bias = position_bias(llm, permutations=permutations)
    except ModelError as error:
        return Finding(name, False, str(error))
    used = "" if not llm.scores else "; not used: this model gives likelihoods, which know no position"
    return Finding(
        name,
        None,
        f"{bias.mean:+.2f} [{bias.low:+.2f}, {bias.high:+.2f}] (Spearman, {bias.lists} of {LISTS} lists of {LISTED}; "
        f"{bias.usage.repairs} numbers mended){used}",
        {"mean": bias.mean, "low": bias.low, "high": bias.high, "lists": bias.lists, "repairs": bias.usage.repairs},
    )
