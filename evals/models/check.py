"""Checks of whether a model does what Whimbrel asks of it, made by asking it."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.graded_order import OrderQuestion, order_options
from whimbrel.agent.language_models.hosted.model import HostedModel
from whimbrel.agent.language_models.local.llama import Row, log_probabilities
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.protocol import NO_USAGE, TIERS, LanguageModel, Tier, Usage
from whimbrel.agent.language_models.specs import open_some_model
from whimbrel.agent.reading.tiers import KNOWN_LISTS, measure_ability
from whimbrel.evals.models.sample import NAMES, UNRELATED
from whimbrel.prompts import Message
from whimbrel.tools.errors import ModelError

QUESTIONS = ("the sky on a clear day", "fresh grass", "a ripe lemon", "snow", "a fire engine")
BIAS_LISTS, BIAS_WORDS = 12, 8
"""Lists of unrelated words that a model is asked to order, and words in each."""
TIER_WORDS: Mapping[Tier, str] = {
    "fills": "filling in replies, so its likelihoods count a little where it gives any",
    "orders": "ordering candidates",
    "reads": "reading a person, searching for them and ordering candidates",
}
"""What Whimbrel uses a model of each tier for."""
MAX_NATS_EXACT, MAX_NATS_QUANTISED = 1e-3, 0.7
"""Largest difference between likelihoods in a batch and one text at a time, for weights in 32 bits and in fewer."""


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        name: What was checked.
        ok: Whether it is as it should be; None for a result that is neither right nor wrong.
        words: The result in words.
        figures: The numbers in `words`.
    """

    name: str
    ok: bool | None
    words: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Bias:
    """Position bias of a model that orders options.

    Attributes:
        mean: Spearman correlation between an option's position in the prompt and in the model's order, mean over lists:
            0 without bias, 1 for a model that repeats what it is shown.
        low: Lower end of its 95% interval.
        high: Upper end.
        lists: Lists that the model ordered.
        usage: What the replies cost.
    """

    mean: float
    low: float
    high: float
    lists: int
    usage: Usage


class ColourReply(BaseModel):
    """Reply that shows whether a model fits a schema."""

    colour: str = Field(min_length=3, max_length=12)


def check(spec: str, *, tell: Callable[[str], None] | None = None) -> Iterator[Finding]:
    """Check the model of a spec and yield each finding as soon as it is known.

    Args:
        spec: A model spec.
        tell: Called with a sentence before a step that takes long.

    Raises:
        ConfigError: The spec names no model.
        ModelError: The model cannot be loaded or reached.
    """
    started = time.perf_counter()
    llm = open_some_model(spec, tell=tell)
    seconds = time.perf_counter() - started
    build = llm.build.description if isinstance(llm, LocalModel) else "nothing asked yet"
    yield Finding("opens", True, f"in {seconds:.2f} s ({build})", {"seconds": seconds})
    yield _check_schema(llm)
    yield _check_likelihoods(llm)
    yield _check_token_counts(llm)
    yield _check_ability(llm)
    for permutations in (1, 2):
        yield _check_position_bias(llm, permutations)


def position_bias(llm: LanguageModel, *, permutations: int) -> Bias:
    """Measure how far an option's position in the prompt decides its position in the model's order.

    The words are unrelated and their positions drawn anew for each list, so nothing else can decide it.

    Args:
        llm: The model.
        permutations: Arrangements that each list is ordered in; their mean is the model's order.
    """
    random = np.random.default_rng(0)
    correlations, usage = [], NO_USAGE
    for _ in range(BIAS_LISTS):
        words = [UNRELATED[number] for number in random.permutation(len(UNRELATED))[:BIAS_WORDS]]
        order = order_options(llm, OrderQuestion(), words, directions=permutations, third=False)
        usage += order.usage
        values = order.figures.get("order", np.zeros(1))
        if np.ptp(values) > 0:
            positions = np.argsort(np.argsort(-values, kind="stable"), kind="stable")
            correlations.append(float(np.corrcoef(positions, np.arange(BIAS_WORDS))[0, 1]))
    lists = len(correlations)
    mean = float(np.mean(correlations)) if lists else 0.0
    error = 1.96 * float(np.std(correlations, ddof=1)) / lists**0.5 if lists > 1 else 0.0
    return Bias(mean, mean - error, mean + error, lists, usage)


def direct_log_likelihood(llm: LocalModel, prompt: str, text: str) -> float:
    """Return a log-likelihood computed with nothing shared: prompt and text read from the start, in one sequence."""
    llm.forget()
    prefix, tokens = llm.llama.tokenise(prompt, begin=True), llm.llama.tokenise(text)
    # the last token is not read, since nothing is asked after it
    rows = [Row(token, n, 0, n >= len(prefix) - 1) for n, token in enumerate([*prefix, *tokens[:-1]])]
    llm.llama.decode(rows)
    value = float(log_probabilities(llm.llama.logits(len(tokens)), tokens).sum())
    llm.forget()
    return value


def _check_schema(llm: LanguageModel) -> Finding:
    conversations: list[list[Message]] = [
        [
            Message(role="system", content='You name a colour. Answer as JSON: {"colour": "..."}'),
            Message(role="user", content=f"What colour is {thing}?"),
        ]
        for thing in QUESTIONS
    ]
    replies = llm.generate(conversations, schema=ColourReply, max_tokens=30)
    fitting = sum(reply.value is not None for reply in replies)
    repairs = sum(reply.usage.repairs for reply in replies)
    hosted = getattr(llm, "model", llm)
    if isinstance(hosted, HostedModel):
        reply_format = hosted.reply_format
    else:
        reply_format = "grammar" if isinstance(llm, LocalModel) else "its own"
    repaired = f", {repairs} of them repaired" if repairs else ""
    return Finding(
        "answers in a schema",
        fitting == len(replies),
        f"{fitting} of {len(replies)} replies fit{repaired}; format: {reply_format}",
        {"fitting": fitting, "asked": len(replies), "repairs": repairs},
    )


def _check_likelihoods(llm: LanguageModel) -> Finding:
    name = "gives likelihoods"
    if not llm.scores:
        words = "not given, or not those of direct evaluation: candidates are ordered by their numbers instead"
        return Finding(name, None, words)
    if not isinstance(llm, LocalModel):  # a hosted model compares them itself, see `HostedModel.scores`
        return Finding(name, True, "those of a prompt agree with those of writing the same tokens")
    prompt = "What one person chose, in order, one a line:\n" + "".join(f"- {title}\n" for title in NAMES[:15]) + "-"
    texts = [f" {title}\n" for title in NAMES[15:27]]
    llm.forget()
    batched = llm.log_likelihood(prompt, texts).values
    direct = [direct_log_likelihood(llm, prompt, text) for text in texts]
    worst = float(np.max(np.abs(np.array(batched) - direct)))
    allowed = MAX_NATS_EXACT if ".F32." in llm.build.file.name else MAX_NATS_QUANTISED
    return Finding(
        name,
        worst <= allowed,
        f"{len(texts)} texts in one batch differ from direct evaluation by {worst:.2g} nats at most ({allowed:g} "
        "allowed)",
        {"texts": len(texts), "worst_nats": worst, "allowed_nats": allowed},
    )


def _check_token_counts(llm: LanguageModel) -> Finding:
    default = "the model's own vocabulary" if isinstance(llm, LocalModel) else "its own way"
    how = getattr(llm.count_tokens, "how", default)  # of a `TokenCounter`
    tokens = llm.count_tokens(NAMES[0])
    return Finding("counts tokens", None, f"{tokens} in {NAMES[0]!r} ({how})", {"tokens": tokens})


def _check_ability(llm: LanguageModel) -> Finding:
    name = "is capable of"
    try:
        ability = measure_ability(llm)
    except ModelError as error:
        return Finding(name, False, str(error))
    asked_to_read = "" if ability.reads is None else f"; reads a person {'rightly' if ability.reads else 'wrongly'}"
    words = f"{TIER_WORDS[ability.tier]} ({ability.right} of {len(KNOWN_LISTS)} known lists right{asked_to_read})"
    return Finding(name, None, words, {"right": ability.right, "tier": TIERS.index(ability.tier)})


def _check_position_bias(llm: LanguageModel, permutations: int) -> Finding:
    name = f"position bias, {permutations} order{'s' if permutations > 1 else ''}"
    try:
        bias = position_bias(llm, permutations=permutations)
    except ModelError as error:
        return Finding(name, False, str(error))
    unused = "; not used: this model gives likelihoods, which know no position" if llm.scores else ""
    return Finding(
        name,
        None,
        f"{bias.mean:+.2f} [{bias.low:+.2f}, {bias.high:+.2f}] (Spearman, {bias.lists} of {BIAS_LISTS} lists of "
        f"{BIAS_WORDS}; {bias.usage.repairs} numbers repaired){unused}",
        {"mean": bias.mean, "low": bias.low, "high": bias.high, "lists": bias.lists, "repairs": bias.usage.repairs},
    )
