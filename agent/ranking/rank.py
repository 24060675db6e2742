"""Order candidates by the learned ranker, by their fit to a stated wish, and by a language model's answer."""

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
"""An item gains from a wish only if its cosine with the wish is at least this."""
KNOWN_SHARE = 0.5
"""The statistics of the log count if it knows at least this share of the given candidates."""
LEAST_WEIGHED, MOST_WEIGHED = 20, 100
"""Fewest and most candidates that the language model is shown by default."""


class RankConfig(BaseModel):
    """The settings of ranking that are not learned.

    Attributes:
        wish: Weight of a stated wish, in log odds per standard deviation.
        weighed: How many of the best candidates the language model is shown. The default is twice the length of the
            list, but at least 20 and at most 100.
        permutations: In how many orders a model without likelihoods is shown the candidates. Two orders, the given
            one and its reverse, cancel the model's preference for the first option.
        diversity: How much a candidate loses for being similar to an item already in the list, in [0, 1].
        novelty: Weight of an item's rarity in the log, in log odds per standard deviation, in [0, 10].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wish: float = 3.0
    weighed: int | None = Field(default=None, ge=0)
    permutations: int = Field(default=2, ge=1)
    diversity: float = Field(default=0.0, ge=0, le=1)
    novelty: float = Field(default=0.0, ge=0, le=10)

    def for_list(self, k: int) -> "RankConfig":
        """Return the settings for a list of `k`. If `weighed` is None, it gets its default for this length."""
        weighed = min(max(LEAST_WEIGHED, 2 * k), MOST_WEIGHED) if self.weighed is None else self.weighed
        return self.model_copy(update={"weighed": weighed})


@dataclass(frozen=True)
class Wish:
    """A stated wish: its words, and one unit vector of the words and of the items that the user wants more like."""

    words: str = ""
    vector: Vectors | None = None


@dataclass(frozen=True)
class Ranked:
    """A candidate with its score, and what each signal contributed. The contributions add up to the score."""

    candidate: Candidate
    score: float
    signals: dict[str, float]


@dataclass(frozen=True)
class Ranking:
    """All candidates in order, the best first.

    Attributes:
        ranked: The list that is shown, followed by the other candidates.
        listed: The length of the list that is shown.
        usage: The tokens and the cost of asking the language model.
        warnings: Problems with the language model's answer.
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
    """Order candidates by score. Candidates with equal scores keep their given order.

    The language model is shown only the best `config.weighed` candidates by all other signals. Candidates that it is
    not shown get the contribution of the one that it finds least likely.

    Args:
        candidates: What may be recommended.
        features: Standardised features, shape (candidates, features).
        ranker: The learned weights for candidates of this kind.
        history: The user's events. The language model is shown the latest titles.
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
    """Return "given" if the log knows enough of the candidates that the caller supplied, else "cold"."""
    known = [candidate.statistics.get("popularity", 0.0) > 0 for candidate in candidates]
    return "given" if known and np.mean(known) >= KNOWN_SHARE else "cold"


def _wish_fit(candidates: Sequence[Candidate], wish: Vectors) -> Floats:
    """Return each candidate's standardised fit to the wish. It is at most 0 for candidates far from the wish."""
    cosine = np.stack([candidate.vector for candidate in candidates]).astype(np.float64) @ wish
    return np.where(cosine < WISH_NEAR, np.minimum(standardise(cosine), 0.0), standardise(cosine))


def _spread(contributions: dict[str, Floats], rows: NDArray[np.int64], size: int) -> dict[str, Floats]:
    """Extend the contributions of `rows` to all rows. Every other row gets those of the least likely of `rows`."""
    least = int(np.argmin(sum(contributions.values())))
    whole = {}
    for name, values in contributions.items():
        whole[name] = np.full(size, float(values[least]))
        whole[name][rows] = values
    return whole


def _ranked(candidate: Candidate, signals: dict[str, float]) -> Ranked:
    # The signals are rounded before they are summed, so that the displayed signals add up to the displayed score.
    rounded = {name: round(value, 4) for name, value in signals.items()}
    return Ranked(candidate, round(sum(rounded.values()), 4), rounded)
