"""Scores of options by the likelihoods of a language model: how much likelier does the history make each name?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.prompts import Prompt, load
from whimbrel.tools.arrays import standardise
from whimbrel.tools.text.titles import TITLE_LENGTH

UNCONDITIONAL_WEIGHT = 1.0
"""Weight of the log-likelihood without the history, which is subtracted from the one with the history.

With weight 1 neither a short title nor a well-known title has an advantage. The best weight depends on the catalogue. A
fitted ranker learns it from `figures`.
"""
HISTORY_SHOWN = 15
"""The number of latest titles that the model sees."""
HISTORY_SHARE = 0.25
"""The largest share of the model's context that these titles may take."""
LINEAR_NATS = 4.0
"""Gains in likelihood count in full up to about this many nats. Larger gains are damped."""


class LikelihoodCache(Protocol):
    """Cache of the log-likelihoods of titles without a history, for one model and prompt."""

    def get(self, names: Sequence[str]) -> Mapping[str, float]:
        """Return the cached values of these titles, keyed by title."""
        ...

    def put(self, values: Mapping[str, float]) -> None:
        """Add values to the cache, keyed by title."""
        ...


class LikelihoodMemory:
    """A cache of likelihoods in memory."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}

    def get(self, names: Sequence[str]) -> Mapping[str, float]:
        """Return the values of the titles that are known."""
        return {name: self._values[name] for name in names if name in self._values}

    def put(self, values: Mapping[str, float]) -> None:
        """Add values."""
        self._values.update(values)


@dataclass(frozen=True)
class OptionScores:
    """Scores of options.

    Attributes:
        values: One score per option, shape (options,). A higher score is likelier. Scores are comparable within this
            list only. None if the model gave no scores.
        usage: What the scores cost.
        warnings: What was repaired or left out, in sentences for the user.
        conditional: Log-likelihoods after the history. None if the model gives no likelihoods.
        unconditional: Log-likelihoods without a history. None if the model gives no likelihoods.
    """

    values: NDArray[np.float64] | None
    usage: Usage
    warnings: tuple[str, ...] = ()
    conditional: NDArray[np.float64] | None = None
    unconditional: NDArray[np.float64] | None = None

    def figures(self) -> dict[str, NDArray[np.float64]]:
        """Return the figures that a ranker weighs, keyed by name; empty if the model gave no scores.

        likelihood: how much likelier the history makes each option, in nats divided by LINEAR_NATS, of mean 0. Large
            gains are damped: a title that occurs in the history gains fifty nats.
        prior: the log-likelihood of each option without the history, standardised.
        """
        if self.conditional is None or self.unconditional is None:
            return {}
        # arcsinh is linear near 0 and logarithmic far from it
        gains = np.arcsinh((self.conditional - self.unconditional) / LINEAR_NATS)
        return {"likelihood": gains - gains.mean(), "prior": standardise(self.unconditional)}


def score_options(
    llm: LanguageModel,
    *,
    history: Sequence[str],
    wish: str,
    options: Sequence[str],
    likelihood_cache: LikelihoodCache | None = None,
    language: str = "en",
) -> OptionScores:
    """Return how likely each option is to come next.

    Args:
        llm: A language model that gives likelihoods.
        history: Titles of earlier events, the latest last. The model sees the latest ones that fit.
        wish: What the user asks for; empty without a wish.
        options: Names of the options.
        likelihood_cache: Cache of the likelihoods that do not depend on the history.
        language: Language of the prompt.

    Example:
        >>> from whimbrel.agent import ScriptedModel
        >>> model = ScriptedModel(likelihood=lambda prompt, title: -3.0 if "Tea" in prompt and "Ru" in title else -5.0)
        >>> score_options(model, history=["Tea"], wish="", options=["Rake", "Rusk"]).values.tolist()
        [0.0, 2.0]
    """
    if not options:
        return OptionScores(None, NO_USAGE)
    shown = titles_that_fit(history, llm)
    omitted = min(len(history), HISTORY_SHOWN) - len(shown)
    scores = _score_by_likelihood(llm, shown, wish, options, likelihood_cache, language)
    if not omitted:
        return scores
    warning = (
        f"the model saw {len(shown)} of the latest {len(shown) + omitted} events: its context has no room for more"
    )
    return replace(scores, warnings=(warning, *scores.warnings))


def titles_that_fit(history: Sequence[str], llm: LanguageModel) -> list[str]:
    """Return the latest titles that fit the model's context, in order.

    If not all fit, earlier mentions of a repeated title are left out first, since they say least. The oldest titles
    are left out next.
    """
    latest = list(history[-HISTORY_SHOWN:])
    room = int(HISTORY_SHARE * llm.context_tokens)
    tokens = [llm.count_tokens(f"- {title}\n") for title in latest]
    repeated = [position for position, title in enumerate(latest) if title in latest[position + 1 :]]
    others = [position for position in range(len(latest)) if position not in repeated]
    omitted: set[int] = set()
    for position in [*repeated, *others]:
        if sum(tokens) - sum(tokens[number] for number in omitted) <= room:
            break
        omitted.add(position)
    return [title for position, title in enumerate(latest) if position not in omitted]


def likelihood_prompt(language: str = "en") -> Prompt:
    """Return the prompt after which the likelihoods of titles are computed."""
    return load("next", language=language)


def _score_by_likelihood(
    llm: LanguageModel,
    history: Sequence[str],
    wish: str,
    options: Sequence[str],
    likelihood_cache: LikelihoodCache | None,
    language: str,
) -> OptionScores:
    prompt = likelihood_prompt(language)
    titles = [option[:TITLE_LENGTH] for option in options]
    distinct = list(dict.fromkeys(titles))  # several items may share a title
    history_lines = "".join(f"- {title}\n" for title in history)
    wish_line = load("wish", language=language).fill({"wish": wish}) + "\n" if wish else ""
    after = llm.log_likelihood(
        prompt.fill({"history": history_lines, "wish": wish_line}), [f" {title}\n" for title in distinct]
    )
    usage = after.usage
    without = dict(likelihood_cache.get(distinct)) if likelihood_cache else {}
    missing = [title for title in distinct if title not in without]
    if missing:
        asked = llm.log_likelihood(prompt.fill({"history": "", "wish": ""}), [f" {title}\n" for title in missing])
        computed = dict(zip(missing, asked.values, strict=True))
        usage, without = usage + asked.usage, without | computed
        if likelihood_cache and np.isfinite(asked.values).all():  # a value that is not finite is asked for again later
            likelihood_cache.put(computed)
    with_history = dict(zip(distinct, after.values, strict=True))
    conditional = np.array([with_history[title] for title in titles])
    unconditional = np.array([without[title] for title in titles])
    values = conditional - UNCONDITIONAL_WEIGHT * unconditional
    if not np.isfinite(values).all():
        return OptionScores(None, usage, ("the model's likelihoods were left out: some are not finite",))
    return OptionScores(values, usage, conditional=conditional, unconditional=unconditional)
