"""Order candidates by all signals, fused, with what was wished for and a language model's likelihood on top."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.option_scores import LikelihoodCache, score_options
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.ranking.features import signals_of
from whimbrel.agent.ranking.fusion import CandidateKind, Rankers
from whimbrel.agent.schema.results import Shift
from whimbrel.prompts.phrases import Language
from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate, Interest
from whimbrel.tools.text.titles import short_titles

Floats = NDArray[np.float64]

WISH_NEAR = 0.3
"""Cosine with a wish below which nothing speaks for an item that it fits the wish."""
SAME = 0.93
"""Cosine from which two items are too alike to stand in one list."""
KNOWN = 0.5
"""Share of given candidates that a log must have met for its figures to count."""
CONSIDERED = 100
"""Best candidates among which a diverse list is chosen."""


class RankConfig(BaseModel):
    """What the fusion is not told: the weight of a `wish`; how many of the best candidates the language model weighs;
    how often a model without likelihoods orders them, which evens out that it favours what stands first. `diversity` in
    [0, 1] is how much unlikeness to what is already in the list counts against the score; `novelty` is the weight of
    how rarely an item was met, in log odds a standard deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wish: float = 3.0
    weighed: int = Field(default=20, ge=0)
    permutations: int = Field(default=2, ge=1)
    diversity: float = Field(default=0.0, ge=0, le=1)
    novelty: float = Field(default=0.0, ge=0, le=10)


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
    p_topic_change: float | None = None


def rank(
    candidates: Sequence[Candidate],
    *,
    where: CandidateKind,
    history: Sequence[Item],
    interest: Interest,
    expected: Mapping[str, float],
    wish: str = "",
    shift: Shift,
    fusion: Rankers,
    click_rates: ClickRates | None = None,
    llm: LanguageModel | None,
    config: RankConfig,
    likelihood_cache: LikelihoodCache | None = None,
    language: Language = "en",
) -> Ranking:
    """Order candidates; equal scores keep the order given. `expected` are the topics of the next event.

    Only the `config.weighed` best by the other signals are shown to the model; the rest count as unlikely as the least
    likely of them.
    """
    if not candidates:
        return Ranking((), shift)
    fused = fusion.of(where)
    moved = shift.confidence if shift.kind != "none" else 0.0
    found = signals_of(
        candidates, history=history, interest=interest, expected=expected, moved=moved, click_rates=click_rates
    )
    brought = fused(found)
    if interest.wished is not None:
        vectors = np.stack([candidate.vector for candidate in candidates]).astype(np.float64)
        near = vectors @ interest.wished
        brought["wish"] = config.wish * np.where(near < WISH_NEAR, np.minimum(standardise(near), 0.0), standardise(near))
    if config.novelty:
        met = np.log1p([candidate.statistics.get("popularity", 0.0) for candidate in candidates])
        brought["novelty"] = -config.novelty * standardise(met)
    base = np.sum([np.zeros(len(candidates)), *brought.values()], axis=0)
    order = np.argsort(-base, kind="stable")
    usage, warnings = Usage(), tuple[str, ...]()
    asks = llm is not None and fused.asks(likelihoods=llm.scores)
    head = order[: config.weighed] if asks else order[:0]
    if llm is not None and len(head) > 1:
        asked = score_options(
            llm,
            history=short_titles(history),
            wish=wish,
            options=short_titles([candidates[row].item for row in head]),
            likelihood_cache=likelihood_cache,
            permutations=config.permutations,
            language=language,
        )
        usage, warnings = asked.usage, asked.warnings
        figures = asked.model_features()
        if figures is not None:
            told = fused.of_answer(figures)
            least = int(np.argmin(sum(told.values())))
            for name, values in told.items():
                brought[name] = np.full(len(candidates), float(values[least]))
                brought[name][head] = values
            order = np.argsort(-sum(brought.values()), kind="stable")
    ranked = tuple(
        _ranked(candidates[row], {name: float(values[row]) for name, values in brought.items()}) for row in order
    )
    return Ranking(ranked, shift, usage, warnings)


def kind_of_given(candidates: Sequence[Candidate]) -> CandidateKind:
    """Whether a log tells of enough of the candidates that were given."""
    return (
        "given"
        if np.mean([candidate.statistics.get("popularity", 0.0) > 0 for candidate in candidates]) >= KNOWN
        else "cold"
    )


def distinct(ranked: Sequence[Ranked], *, k: int, diversity: float = 0.0) -> list[Ranked]:
    """The first `k`, leaving out what is nearly the same as one before it (another size of the same product).

    With `diversity` each next one is that whose score, less its cosine with the nearest one before, is the greatest
    (maximal marginal relevance; Carbonell & Goldstein, 1998), scores being taken between 0 and 1.
    """
    considered = list(ranked if not diversity else ranked[: max(CONSIDERED, 2 * k)])
    scores = np.array([entry.score for entry in considered])
    value = (scores - scores.min(initial=0.0)) / max(float(np.ptp(scores)) if len(scores) else 0.0, 1e-9)
    nearest, kept = np.full(len(considered), -1.0), list[Ranked]()
    while len(kept) < k:
        worth = np.where(nearest < SAME, (1 - diversity) * value - diversity * np.maximum(nearest, 0.0), -np.inf)
        best = int(worth.argmax()) if len(worth) else -1
        if best < 0 or not np.isfinite(worth[best]):
            break
        kept.append(considered[best])
        near = [float(entry.candidate.vector @ kept[-1].candidate.vector) for entry in considered]
        nearest = np.maximum(nearest, near)
        nearest[best] = 1.0
    return kept


def _ranked(candidate: Candidate, signals: dict[str, float]) -> Ranked:
    rounded = {name: round(value, 4) for name, value in signals.items()}
    return Ranked(candidate, round(sum(rounded.values()), 4), rounded)
