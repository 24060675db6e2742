"""Order candidates by a weighted sum of signals, each standardised over the candidates.

The defaults lie between what a conditional logit found for held-out sessions of games and for the first halves of two
logs of films.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.results import Shift
from whimbrel.agent.summarise import short_titles
from whimbrel.agent.weigh import Priors, weigh
from whimbrel.agent.wording import Language
from whimbrel.tools.records import Item
from whimbrel.tools.retrieve import Candidate, Interest

SAME = 0.93
"""Cosine from which two items are too alike to stand in one list."""


class RankConfig(BaseModel):
    """Weights of the signals, and how many of the best candidates the language model weighs.

    `shift` is that of the topics expected next; where a shift is named, `moved` times its confidence comes on top.
    `popularity` is multiplied by the share of candidates that anybody met lately: in a thin log it says little.
    A model without likelihoods orders them `permutations` times, which evens out that it favours what stands first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    similarity: float = 1.0
    shift: float = 0.25
    moved: float = 1.0
    wish: float = 3.0
    itemknn: float = 1.0
    popularity: float = 0.5
    likelihood: float = 0.3
    weighed: int = Field(default=20, ge=0)
    permutations: int = Field(default=2, ge=1)


@dataclass(frozen=True)
class Ranked:
    """A candidate with its score and the contributions that add up to it."""

    candidate: Candidate
    score: float
    signals: dict[str, float]


@dataclass(frozen=True)
class Ranking:
    """All candidates, the best first, the shift of interest that their order follows, and the probability that the next
    event bears none of the latest events' topics."""

    ranked: tuple[Ranked, ...]
    shift: Shift
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    moves: float | None = None


def rank(
    candidates: Sequence[Candidate],
    *,
    history: Sequence[Item],
    interest: Interest,
    wish: str = "",
    shift: Shift,
    llm: LanguageModel | None,
    config: RankConfig,
    priors: Priors | None = None,
    language: Language = "en",
) -> Ranking:
    """Order candidates; equal scores keep the order given.

    Only the `config.weighed` best by the other signals are shown to the model; the rest count as unlikely as the least
    likely of them.
    """
    if not candidates:
        return Ranking((), shift)
    weights = dict(config)
    weights["shift"] += config.moved * shift.confidence if shift.kind != "none" else 0.0
    weights["popularity"] *= float(np.mean([candidate.popularity > 0 for candidate in candidates]))
    signals = {name: weights[name] * _standard(values) for name, values in _signals(candidates, interest).items()}
    base = np.sum([np.zeros(len(candidates)), *signals.values()], axis=0)
    order = np.argsort(-base, kind="stable")
    usage, warnings = Usage(), tuple[str, ...]()
    head = order[: config.weighed] if llm is not None and config.likelihood else order[:0]
    if llm is not None and len(head) > 1:
        titles = short_titles([candidates[row].item for row in head])
        asked = weigh(
            llm,
            history=short_titles(history),
            wish=wish,
            options=titles,
            priors=priors,
            permutations=config.permutations,
            language=language,
        )
        usage, warnings = asked.usage, asked.warnings
        if asked.values is not None:
            likelihood = config.likelihood * _standard(asked.values)
            signals["likelihood"] = np.full(len(candidates), float(likelihood.min()))
            signals["likelihood"][head] = likelihood
            order = np.argsort(-(base + signals["likelihood"]), kind="stable")
    ranked = tuple(
        _ranked(candidates[row], {name: float(values[row]) for name, values in signals.items()}) for row in order
    )
    return Ranking(ranked, shift, usage, warnings)


def distinct(ranked: Sequence[Ranked], *, k: int) -> list[Ranked]:
    """The first `k`, leaving out what is nearly the same as one before it (another size of the same product)."""
    kept: list[Ranked] = []
    for entry in ranked:
        if len(kept) == k:
            break
        if all(float(entry.candidate.vector @ other.candidate.vector) < SAME for other in kept):
            kept.append(entry)
    return kept


def _ranked(candidate: Candidate, signals: dict[str, float]) -> Ranked:
    rounded = {name: round(value, 4) for name, value in signals.items()}
    return Ranked(candidate, round(sum(rounded.values()), 4), rounded)


def _signals(candidates: Sequence[Candidate], interest: Interest) -> dict[str, NDArray[np.float64]]:
    """Raw values of each signal that says anything here."""
    vectors = np.stack([candidate.vector for candidate in candidates]).astype(np.float64)
    signals = {
        "itemknn": np.array([candidate.neighbours for candidate in candidates]),
        "popularity": np.log1p([candidate.popularity for candidate in candidates]),
    }
    if interest.short is not None and interest.long is not None:
        signals["similarity"] = vectors @ (interest.short + interest.long)
    if interest.predicted is not None:
        signals["shift"] = vectors @ interest.predicted
    if interest.wished is not None:
        signals["wish"] = vectors @ interest.wished
    return {name: values for name, values in signals.items() if np.ptp(values) > 0}


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-9))
