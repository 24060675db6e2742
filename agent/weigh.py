"""Ask a language model which of several named options comes next.

A model with likelihoods is asked how much likelier the history makes each name; one without orders the options by
their numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from whimbrel.agent.language_models.protocol import LanguageModel, Usage
from whimbrel.agent.summarise import TITLE_LENGTH
from whimbrel.prompts import load

PRIOR = 1.0
"""How much of a name's likelihood without the history is taken off: all of it, so that neither a long title nor a known
one counts. The best value depends on the catalogue, which is why it is to be learned."""


class OrderReply(BaseModel):
    """Numbers of options, the likeliest first."""

    order: list[int] = Field(max_length=200)


@dataclass(frozen=True)
class Weights:
    """One number an option, higher is likelier, comparable within this list only. None where nothing came."""

    values: NDArray[np.float64] | None
    usage: Usage
    warnings: tuple[str, ...] = ()


def weigh(llm: LanguageModel, *, history: Sequence[str], wish: str, options: Sequence[str]) -> Weights:
    """Weights of `options`, names of what may come after the names in `history`."""
    if not options:
        return Weights(None, Usage())
    return _by_likelihood(llm, history, wish, options) if llm.scores else _by_order(llm, history, wish, options)


def _by_likelihood(llm: LanguageModel, history: Sequence[str], wish: str, options: Sequence[str]) -> Weights:
    distinct = list(dict.fromkeys(option[:TITLE_LENGTH] for option in options))
    texts = [f" {option}\n" for option in distinct]
    lines = "".join(f"- {title}\n" for title in history)
    given = llm.log_likelihood(
        load("next").fill({"history": lines, "wish": f"Wanted now: {wish}\n" if wish else ""}), texts
    )
    alone = llm.log_likelihood(load("next").fill({"history": "", "wish": ""}), texts)
    gains = np.array(given.values) - PRIOR * np.array(alone.values)
    by_text = dict(zip(distinct, gains, strict=True))
    values = np.array([by_text[option[:TITLE_LENGTH]] for option in options])
    if not np.isfinite(values).all():
        return Weights(None, given.usage + alone.usage, ("the model's likelihoods were left out: some are no numbers",))
    return Weights(values, given.usage + alone.usage)


def _by_order(llm: LanguageModel, history: Sequence[str], wish: str, options: Sequence[str]) -> Weights:
    """Position in the model's order; an option that it leaves out weighs as the mean of those it left out."""
    conversation = load("order").messages(
        {
            "history": "\n".join(f"- {title}" for title in history) or "- nothing yet",
            "wish": wish or "nothing in particular",
            "options": "\n".join(f"{number}. {option[:TITLE_LENGTH]}" for number, option in enumerate(options, 1)),
        }
    )
    (reply,) = llm.generate([conversation], schema=OrderReply, max_tokens=30 + 6 * len(options))
    if reply.value is None:
        return Weights(None, reply.usage, (f"the model's order was left out: it fitted no schema: {reply.misfit!r}",))
    named = [number for number in dict.fromkeys(reply.value.order) if 1 <= number <= len(options)]
    omitted = len(options) - len(named)
    values = np.full(len(options), -float(len(named)) - (omitted - 1) / 2 if omitted else 0.0)
    values[[number - 1 for number in named]] = -np.arange(len(named), dtype=np.float64)
    wrong = len(reply.value.order) - len(named)
    warnings = [f"the model repeated or invented {wrong} numbers in its order"] if wrong else []
    warnings += [f"the model left {omitted} of {len(options)} options out of its order"] if omitted else []
    return Weights(values, reply.usage, tuple(warnings))
