"""Order candidates by the learned ranker, by how well they meet a stated wish, and by a language model's answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker
from whimbrel.tools.arrays import standardise
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.titles import short_titles

Floats = NDArray[np.float64]

WISH_NEAR = 0.3
"""Cosine with a wish below which an item cannot gain from the wish."""
KNOWN_SHARE = 0.5
"""Share of the given candidates that the log must know for its statistics to count."""
LEAST_WEIGHED, MOST_WEIGHED = 20, 100
"""Fewest and most candidates that the language model weighs by default."""


class RankConfig(BaseModel):
    """The settings of ranking that are not learned.

    Attributes:
        wish: Weight of a stated wish, in log odds a standard deviation.
        weighed: How many of the best candidates the language model weighs; by default twice the length of the list,
            at least 20 and at most 100.
        permutations: How many orders of the candidates a model without likelihoods is shown. Two, as given and
            reversed, cancel its preference for what stands first.
        diversity: How much likeness to an item already in the list counts against a candidate, in [0, 1].
        novelty: Weight of how rarely an item was met, in log odds a standard deviation, in [0, 10].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wish: float = 3.0
    weighed: int | None = Field(default=None, ge=0)
    permutations: int = Field(default=2, ge=1)
    diversity: float = Field(default=0.0, ge=0, le=1)
    novelty: float = Field(default=0.0, ge=0, le=10)

    def for_list(self, k: int) -> "RankConfig":
        """Return the settings for a list of `k`, with `weighed` filled in where it is left to the default."""
        weighed = min(max(LEAST_WEIGHED, 2 * k), MOST_WEIGHED) if self.weighed is None else self.weighed
        return self.model_copy(update={"weighed": weighed})


@dataclass(frozen=True)
class Wish:
    """A stated wish: its words, and the unit vector of the words and of the items that more are wanted like."""

    words: str = ""
    vector: Vectors | None = None


@dataclass(frozen=True)
class Ranked:
    """A candidate with its score and the contributions, by signal, that add up to it."""

    candidate: Candidate
    score: float
    signals: dict[str, float]


@dataclass(frozen=True)
class Ranking:
    """All candidates in order, the best first.

    Attributes:
        ranked: The list that is shown, then the other candidates.
        listed: How many of `ranked` form the list that is shown.
        usage: What asking the language model cost.
        warnings: What went wrong with the language model's answer.
    """

    ranked: tuple[Ranked, ...] = ()
    listed: int = 0
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()

    @property
    def list(self) -> tuple[Ranked, ...]:
        """The entries that are shown."""
        return self.ranked[: self.listed]


def rank(
    candidates: Sequence[Candidate],
    features: Floats,
    *,
    ranker: Ranker,
    history: Sequence[Item],
    wish: Wish,
    model: ModelAccess,
    config: RankConfig,
) -> Ranking:
    """Order candidates by score; equal scores keep the order given.

    Only the best `config.weighed` candidates by all other signals are shown to the language model. The rest get the
    contribution of the least likely of them.

    Args:
        candidates: What may be recommended.
        features: Standardised features, shape (candidates, features).
        ranker: The learned weights for candidates of this kind.
        history: The user's events, of which the language model sees the latest titles.
        wish: What the user said they want.
        model: The language model, if there is one.
        config: The settings that are not learned.
    """
    if not candidates:
        return Ranking()
    contributions = ranker(features)
    if wish.vector is not None:
        contributions["wish"] = config.wish * _wish_fit(candidates, wish.vector)
    if config.novelty:
        popularity = np.log1p([candidate.statistics.get("popularity", 0.0) for candidate in candidates])
        contributions["novelty"] = -config.novelty * standardise(popularity)
    scores = np.sum([np.zeros(len(candidates)), *contributions.values()], axis=0)
    order = np.argsort(-scores, kind="stable")
    usage, warnings = Usage(), tuple[str, ...]()
    best = order[: config.for_list(len(candidates)).weighed]
    if model.llm is not None and ranker.asks(likelihoods=model.llm.scores) and len(best) > 1:
        answer = score_options(
            model.llm,
            history=short_titles(history),
            wish=wish.words,
            options=short_titles([candidates[row].item for row in best]),
            likelihood_cache=model.likelihood_cache,
            permutations=config.permutations,
            language=model.language,
        )
        usage, warnings = answer.usage, answer.warnings
        model_features = answer.model_features()
        if model_features is not None:
            contributions |= _spread(ranker.of_answer(model_features), best, len(candidates))
            order = np.argsort(-sum(contributions.values()), kind="stable")
    ranked = tuple(
        _ranked(candidates[row], {name: float(values[row]) for name, values in contributions.items()}) for row in order
    )
    return Ranking(ranked, len(ranked), usage, warnings)


def kind_of_given(candidates: Sequence[Candidate]) -> CandidateKind:
    """Return "given" where the log knows enough of the given candidates, else "cold"."""
    known = [candidate.statistics.get("popularity", 0.0) > 0 for candidate in candidates]
    return "given" if known and np.mean(known) >= KNOWN_SHARE else "cold"


def _wish_fit(candidates: Sequence[Candidate], wish: Vectors) -> Floats:
    """Return how well each candidate meets the wish, standardised; what is far from it can only lose."""
    cosine = np.stack([candidate.vector for candidate in candidates]).astype(np.float64) @ wish
    return np.where(cosine < WISH_NEAR, np.minimum(standardise(cosine), 0.0), standardise(cosine))


def _spread(contributions: dict[str, Floats], rows: NDArray[np.int64], size: int) -> dict[str, Floats]:
    """Return the contributions of some rows for all rows; the other rows get those of the least likely one."""
    least = int(np.argmin(sum(contributions.values())))
    whole = {}
    for name, values in contributions.items():
        whole[name] = np.full(size, float(values[least]))
        whole[name][rows] = values
    return whole


def _ranked(candidate: Candidate, signals: dict[str, float]) -> Ranked:
    # Rounded before they are summed, so that the signals shown add up to the score shown.
    rounded = {name: round(value, 4) for name, value in signals.items()}
    return Ranked(candidate, round(sum(rounded.values()), 4), rounded)
