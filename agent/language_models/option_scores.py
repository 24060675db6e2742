"""Ask a language model which of several named options comes next.

A model with likelihoods is asked how much likelier the history makes each name; one without orders the options by
their numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, WithJsonSchema

from whimbrel.agent.language_models.order_parser import numbers_in
from whimbrel.agent.language_models.protocol import Generation, LanguageModel, Usage
from whimbrel.prompts import Prompt, load
from whimbrel.tools.arrays import standardise
from whimbrel.tools.text.titles import TITLE_LENGTH

PRIOR = 1.0
"""How much of a name's likelihood without the history is taken off: all of it, so that neither a long title nor a known
one counts. The best value depends on the catalogue, which is why it is to be learned."""
HISTORY_SHOWN, HISTORY_SHARE = 15, 0.25
"""Latest titles that the model sees, and the share of its context that they may take."""
NATS = 4.0
"""Up to about so many a gain in likelihood counts in full."""
MOST_NUMBERS = 200
NO_NUMBER = 0
"""Stands for what is no number in an order: no option has it."""


def _number(value: Any) -> int:
    if isinstance(value, str) and value.strip().lstrip("#").rstrip(".)").isdecimal():
        value = int(value.strip().lstrip("#").rstrip(".)")[:9])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else NO_NUMBER


Numbers = Annotated[
    list[int],
    BeforeValidator(lambda value: [_number(one) for one in value] if isinstance(value, list) else value),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "maxItems": MOST_NUMBERS}),
]


class OrderReply(BaseModel):
    """Numbers of options, the likeliest first. What is no number counts as one of no option."""

    order: Numbers

    @classmethod
    def from_words(cls, text: str) -> "OrderReply | None":
        """An order told in plain words, see `numbers_in`."""
        numbers = numbers_in(text)
        return cls(order=numbers) if numbers else None


class LikelihoodCache(Protocol):
    """Likelihoods of names without a history, kept for one model and prompt."""

    def get(self, names: Sequence[str]) -> Mapping[str, float]:
        """Those that are known."""
        ...

    def put(self, values: Mapping[str, float]) -> None:
        """Keep some."""
        ...


@dataclass(frozen=True)
class OptionScores:
    """One number an option, higher is likelier, comparable within this list only. None where nothing came. A model with
    likelihoods tells also those that the values are the difference of: after the history (`given`) and without one
    (`alone`)."""

    values: NDArray[np.float64] | None
    usage: Usage
    warnings: tuple[str, ...] = ()
    given: NDArray[np.float64] | None = None
    alone: NDArray[np.float64] | None = None

    def model_features(self) -> NDArray[np.float64] | None:
        """What the fusion weighs, of mean 0: how much likelier the history makes each option, in nats, the larger the
        less each counts (a title that repeats one of the history gains fifty), and, standardised, how likely each is
        without it, shape (options, 2); of a model without likelihoods its order, shape (options, 1), of deviation 1
        where it gives the same one however the options stand, of none where it repeats how they stand."""
        if self.given is not None and self.alone is not None:
            gained = np.arcsinh((self.given - self.alone) / NATS)
            return np.stack([gained - gained.mean(), standardise(self.alone)], axis=1)
        if self.values is None:
            return None
        spread = max(((len(self.values) ** 2 - 1) / 12) ** 0.5, 1e-9)
        return np.asarray((self.values - self.values.mean()) / spread)[:, None]


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
    """OptionScores of `options`, names of what may come after the names in `history`, of which the latest are shown.

    `likelihood_cache` keeps what does not depend on the history. A model without likelihoods orders the options as
    given, then
    turned round, then in `permutations` - 2 random orders, since models favour what stands first.
    """
    if not options:
        return OptionScores(None, Usage())
    shown = fitting(history, llm)
    cut = min(len(history), HISTORY_SHOWN) - len(shown)
    weighed = (
        _by_likelihood(llm, shown, wish, options, likelihood_cache, language)
        if llm.scores
        else order(llm, history=shown, wish=wish, options=options, permutations=permutations, language=language)
    )
    if not cut:
        return weighed
    told = f"the model was shown {len(shown)} of the latest {len(shown) + cut} events: no more fit its context"
    return replace(weighed, warnings=(told, *weighed.warnings))


def fitting(history: Sequence[str], llm: LanguageModel) -> list[str]:
    """The latest names that fit the model's context: earlier mentions of a name that comes again go first, they tell
    least, then the oldest."""
    latest = list(history[-HISTORY_SHOWN:])
    room = int(HISTORY_SHARE * llm.context_tokens)
    tokens = [llm.count_tokens(f"- {name}\n") for name in latest]
    repeated = [place for place, name in enumerate(latest) if name in latest[place + 1 :]]
    gone: set[int] = set()
    for place in [*repeated, *(place for place in range(len(latest)) if place not in repeated)]:
        if sum(tokens) - sum(tokens[place] for place in gone) <= room:
            break
        gone.add(place)
    return [name for place, name in enumerate(latest) if place not in gone]


def likelihood_prompt(language: str = "en") -> Prompt:
    """The prompt that likelihoods are taken with."""
    return load("next", language=language)


def _by_likelihood(
    llm: LanguageModel,
    history: Sequence[str],
    wish: str,
    options: Sequence[str],
    likelihood_cache: LikelihoodCache | None,
    language: str,
) -> OptionScores:
    prompt = likelihood_prompt(language)
    distinct = list(dict.fromkeys(option[:TITLE_LENGTH] for option in options))
    lines = "".join(f"- {title}\n" for title in history)
    wanted = load("wish", language=language).fill({"wish": wish}) + "\n" if wish else ""
    given = llm.log_likelihood(prompt.fill({"history": lines, "wish": wanted}), [f" {name}\n" for name in distinct])
    usage = given.usage
    alone = dict(likelihood_cache.get(distinct)) if likelihood_cache else {}
    unknown = [name for name in distinct if name not in alone]
    if unknown:
        asked = llm.log_likelihood(prompt.fill({"history": "", "wish": ""}), [f" {name}\n" for name in unknown])
        found = dict(zip(unknown, asked.values, strict=True))
        usage, alone = usage + asked.usage, alone | found
        if likelihood_cache and np.isfinite(asked.values).all():
            likelihood_cache.put(found)
    after = dict(zip(distinct, given.values, strict=True))
    with_, without = (np.array([told[option[:TITLE_LENGTH]] for option in options]) for told in (after, alone))
    values = with_ - PRIOR * without
    if not np.isfinite(values).all():
        return OptionScores(None, usage, ("the model's likelihoods were left out: some are no numbers",))
    return OptionScores(values, usage, given=with_, alone=without)


def order(
    llm: LanguageModel,
    *,
    history: Sequence[str],
    wish: str,
    options: Sequence[str],
    permutations: int = 1,
    language: str = "en",
) -> OptionScores:
    """Minus the mean position of each option in the model's orders of permutations of them, see `weigh`."""
    orders = _permutations(len(options), permutations)
    prompt = load("order", language=language)
    conversations = [
        prompt.messages(
            {
                "history": "\n".join(f"- {title}" for title in history) or "-",
                "wish": wish or "-",
                "options": "\n".join(f"{n}. {options[place][:TITLE_LENGTH]}" for n, place in enumerate(places, 1)),
            }
        )
        for places in orders
    ]
    replies = llm.generate(conversations, schema=OrderReply, max_tokens=16 + 5 * len(options))
    found = [_positions(reply, len(options)) for reply in replies]
    usage = sum((positions.usage for positions in found), Usage())
    warnings = tuple(dict.fromkeys(warning for positions in found for warning in positions.warnings))
    placed = []
    for places, positions in zip(orders, found, strict=True):
        if positions.values is not None:
            values = np.empty(len(options))
            values[places] = positions.values
            placed.append(values)
    return OptionScores(np.mean(placed, axis=0) if placed else None, usage, warnings)


def _permutations(options: int, count: int) -> list[NDArray[np.int64]]:
    straight = np.arange(options)
    random = np.random.default_rng(0)
    return [straight, straight[::-1], *(random.permutation(options) for _ in range(count - 2))][:count]


def _positions(reply: Generation[OrderReply], options: int) -> OptionScores:
    """Minus the position of each option; one that the model leaves out has the mean position of those it left out."""
    if reply.value is None:
        return OptionScores(
            None, reply.usage, (f"the model's order was left out: it fitted no schema: {reply.misfit!r}",)
        )
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
