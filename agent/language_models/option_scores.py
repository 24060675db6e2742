"""Scores of options by a language model: which of several named options comes next.

A model with likelihoods shows how much likelier the history makes each name. A model without likelihoods is asked to
write the numbers of the options in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from whimbrel.agent.language_models.order_parser import parse_order
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, LanguageModel, Usage
from whimbrel.prompts import Prompt, load
from whimbrel.tools.arrays import standardise
from whimbrel.tools.text.titles import TITLE_LENGTH

UNCONDITIONAL_WEIGHT = 1.0
"""Weight of the log-likelihood without the history, which is subtracted from the one with the history.

With weight 1 neither a short title nor a well-known title has an advantage. The best weight depends on the catalogue. A
fitted ranker learns it from `model_features`.
"""
HISTORY_SHOWN = 15
"""The number of latest titles that the model sees."""
HISTORY_SHARE = 0.25
"""The largest share of the model's context that these titles may take."""
LINEAR_NATS = 4.0
"""Gains in likelihood count in full up to about this many nats. Larger gains are damped."""
MAX_NUMBERS = 200
"""The most numbers in an order. The schema sets this limit."""
NO_OPTION = 0
"""Stands in an order for an entry that is not a number. Options are numbered from 1."""


def _number(value: Any) -> int:
    """Return an entry of an order as a number. Models write `3`, `3.0`, `"3"`, `"#3"` and `"3."`."""
    if isinstance(value, str) and value.strip().lstrip("#").rstrip(".)").isdecimal():
        value = int(
            value.strip().lstrip("#").rstrip(".)")[:9]
        )  # nine digits are enough, and `int` refuses endless ones
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else NO_OPTION


Numbers = Annotated[
    list[int],
    BeforeValidator(lambda value: [_number(entry) for entry in value] if isinstance(value, list) else value),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "maxItems": MAX_NUMBERS}),
]


class OrderReply(BaseModel):
    """Reply of a model that was asked to order options.

    Attributes:
        order: Numbers of options, the likeliest first; NO_OPTION for an entry that is not a number.
    """

    order: Numbers

    @classmethod
    def from_words(cls, text: str) -> "OrderReply | None":
        """Read an order from plain text, see `parse_order`."""
        numbers = parse_order(text)
        return cls(order=numbers) if numbers else None


class LikelihoodCache(Protocol):
    """Cache of the log-likelihoods of titles without a history, for one model and prompt."""

    def get(self, names: Sequence[str]) -> Mapping[str, float]:
        """Return the cached values of these titles, keyed by title."""
        ...

    def put(self, values: Mapping[str, float]) -> None:
        """Add values to the cache, keyed by title."""
        ...


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

    def model_features(self) -> NDArray[np.float64] | None:
        """Return the features that a ranker weighs, each of mean 0; None if the model gave no scores.

        Returns:
            For a model with likelihoods, shape (options, 2). The first column is how much likelier the history makes
            each option, in nats divided by LINEAR_NATS. Large gains are damped: a title that occurs in the history
            gains fifty nats. The second column is the log-likelihood of each option without the history, standardised.

            For a model without likelihoods, shape (options, 1): the model's order. Its standard deviation is 1 if the
            model gives the same order for every arrangement of the options. It is 0 if the model only repeats the
            arrangement.
        """
        if self.conditional is not None and self.unconditional is not None:
            # arcsinh is linear near 0 and logarithmic far from it
            gains = np.arcsinh((self.conditional - self.unconditional) / LINEAR_NATS)
            return np.stack([gains - gains.mean(), standardise(self.unconditional)], axis=1)
        if self.values is None:
            return None
        # Standard deviation of the positions 1 to n. The mean positions of orders that disagree vary less.
        full_spread = max(((len(self.values) ** 2 - 1) / 12) ** 0.5, 1e-9)
        return np.asarray((self.values - self.values.mean()) / full_spread)[:, None]


def score_options(
    llm: LanguageModel,
    *,
    history: Sequence[str],
    wish: str,
    options: Sequence[str],
    likelihood_cache: LikelihoodCache | None = None,
    permutations: int = 1,
    language: str = "en",
) -> OptionScores:
    """Return how likely each option is to come next.

    Args:
        llm: The language model.
        history: Titles of earlier events, the latest last. The model sees the latest ones that fit.
        wish: What the user asks for; empty without a wish.
        options: Names of the options.
        likelihood_cache: Cache of the likelihoods that do not depend on the history.
        permutations: How often a model without likelihoods is asked. The first two times it sees the options as given
            and reversed, then in random arrangements. Models favour the options that they see first.
        language: Language of the prompt.

    Example:
        >>> from whimbrel.agent import ScriptedModel
        >>> model = ScriptedModel({"OrderReply": {"order": [2, 1]}}, scores=False)
        >>> score_options(model, history=["Tea"], wish="", options=["Rake", "Rusk"]).values.tolist()
        [-1.0, 0.0]
    """
    if not options:
        return OptionScores(None, NO_USAGE)
    shown = titles_that_fit(history, llm)
    omitted = min(len(history), HISTORY_SHOWN) - len(shown)
    scores = (
        _score_by_likelihood(llm, shown, wish, options, likelihood_cache, language)
        if llm.scores
        else order_options(llm, history=shown, wish=wish, options=options, permutations=permutations, language=language)
    )
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


def order_options(
    llm: LanguageModel,
    *,
    history: Sequence[str],
    wish: str,
    options: Sequence[str],
    permutations: int = 1,
    language: str = "en",
) -> OptionScores:
    """Return minus the mean position of each option in the model's orders. See `score_options` for the arguments."""
    arrangements = _arrangements(len(options), permutations)
    prompt = load("order", language=language)
    conversations = [
        prompt.messages(
            {
                "history": "\n".join(f"- {title}" for title in history) or "-",
                "wish": wish or "-",
                "options": "\n".join(f"{n}. {options[index][:TITLE_LENGTH]}" for n, index in enumerate(indices, 1)),
            }
        )
        for indices in arrangements
    ]
    # 16 tokens for the braces and the key, 5 for each number with its comma
    replies = llm.generate(conversations, schema=OrderReply, max_tokens=16 + 5 * len(options))
    orders = [_scores_of_order(reply, len(options)) for reply in replies]
    usage = sum((order.usage for order in orders), NO_USAGE)
    warnings = tuple(dict.fromkeys(warning for order in orders for warning in order.warnings))
    by_option = []
    for indices, order in zip(arrangements, orders, strict=True):
        if order.values is not None:
            values = np.empty(len(options))
            values[indices] = order.values
            by_option.append(values)
    return OptionScores(np.mean(by_option, axis=0) if by_option else None, usage, warnings)


def _arrangements(options: int, count: int) -> list[NDArray[np.int64]]:
    """Return `count` arrangements of options: as given, reversed, then random ones that are the same in every call."""
    straight = np.arange(options)
    random = np.random.default_rng(0)  # a fixed seed: the same request finds its answer in the cache of replies
    return [straight, straight[::-1], *(random.permutation(options) for _ in range(count - 2))][:count]


def _scores_of_order(reply: Generation[OrderReply], options: int) -> OptionScores:
    """Return minus the position of each option in an order.

    The options that the model leaves out come after the named ones. All of them get the mean of the remaining
    positions.
    """
    if reply.value is None:
        warning = f"the model's order was left out: the reply did not fit the schema: {reply.misfit!r}"
        return OptionScores(None, reply.usage, (warning,))
    named = [number for number in dict.fromkeys(reply.value.order) if 1 <= number <= options]
    omitted = options - len(named)
    wrong = len(reply.value.order) - len(named)
    usage = reply.usage + Usage(repairs=wrong + omitted)
    warnings = [f"the model repeated or invented {wrong} numbers in its order"] if wrong else []
    warnings += [f"the model left {omitted} of {options} options out of its order"] if omitted else []
    if not named:
        return OptionScores(None, usage, tuple(warnings))
    values = np.full(options, -float(len(named)) - (omitted - 1) / 2 if omitted else 0.0)
    values[[number - 1 for number in named]] = -np.arange(len(named), dtype=np.float64)
    return OptionScores(values, usage, tuple(warnings))
