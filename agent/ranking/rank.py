"""Order candidates by the learned ranker, by their fit to a stated wish, and by a language model's answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.model_answer import ModelAnswer
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.agent.ranking.ask_model import Person, ask_model, reading_figures
from whimbrel.agent.ranking.evidence import evidence
from whimbrel.agent.ranking.exposure import exposure
from whimbrel.agent.ranking.rankers import LIKELIHOOD_FIGURES, ORDER_FIGURES, READING_FIGURES, CandidateKind, Ranker
from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.item_statistics import STATISTICS
from whimbrel.tools.retrieval.candidates import Candidate, Candidates
from whimbrel.tools.text.encoder import Vectors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WISH_NEAR = 0.3
"""An item gains from a wish only if its cosine with the wish is at least this."""
KNOWN_SHARE = 0.5
"""The statistics of the log count if it knows at least this share of the given candidates."""
LEAST_WEIGHED, LEAST_ORDERED, MOST_WEIGHED = 20, 50, 60
"""Fewest candidates that a small model and a model that orders well are shown by default, and most for either."""


class RankConfig(BaseModel):
    """The settings of ranking that are not learned.

    Attributes:
        wish: Weight of a stated wish, in log odds per standard deviation.
        weighed: How many of the best candidates the language model is shown. The default is twice the length of the
            list, but at least 20 (50 for a model that orders well) and at most 60.
        permutations: In how many directions a model that orders is shown the candidates. Two directions cancel the
            model's preference for the first option.
        diversity: How much a candidate loses for being similar to an item already in the list, in [0, 1].
        novelty: Weight of an item's rarity in the log, in log odds per standard deviation, in [0, 10].
        exposure: The share of the expected accuracy of the list that is given up to show items that few people met, in
            [0, 1] (see `exposure`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wish: float = 3.0
    weighed: int | None = Field(default=None, ge=0)
    permutations: int = Field(default=2, ge=1, le=2)
    diversity: float = Field(default=0.0, ge=0, le=1)
    novelty: float = Field(default=0.0, ge=0, le=10)
    exposure: float = Field(default=0.0, ge=0, le=1)

    def for_list(self, k: int, *, orders: bool = False) -> "RankConfig":
        """Return the settings for a list of `k`. If `weighed` is None, it gets its default for this length.

        Args:
            k: The length of the list.
            orders: Whether the model orders candidates well. It is then shown more of them.
        """
        least = LEAST_ORDERED if orders else LEAST_WEIGHED
        weighed = min(max(least, 2 * k), MOST_WEIGHED) if self.weighed is None else self.weighed
        return self.model_copy(update={"weighed": weighed})


@dataclass(frozen=True)
class Ranked:
    """A candidate with its score, and what each signal contributed. The contributions add up to the score."""

    candidate: Candidate
    score: float
    signals: dict[str, float]


@dataclass(frozen=True, eq=False)
class Ranking:
    """All candidates in order, the best first.

    Attributes:
        candidates: The candidates as they were given to `rank`.
        order: The rows of `candidates`: those of the list that is shown, then the others.
        listed: The length of the list that is shown.
        scores: The score of each candidate, shape (candidates,).
        signals: What each signal contributes to each score, shape (candidates,) each.
        refused: Candidates that the caller supplied and the context refuses. They follow all others.
        answer: What the language model said of the candidates in `asked`.
        asked: The rows of the candidates that the language model was asked about.
        reading_figures: See `reading_figures`; shape (candidates,) each.
    """

    candidates: Candidates = field(default_factory=Candidates)
    order: Sequence[int] = ()
    listed: int = 0
    scores: Floats = field(default_factory=lambda: np.empty(0))
    signals: Mapping[str, Floats] = field(default_factory=dict)
    refused: Sequence[Candidate] = ()
    answer: ModelAnswer = field(default_factory=ModelAnswer)
    asked: tuple[int, ...] = ()
    reading_figures: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def usage(self) -> Usage:
        """The tokens and the cost of asking the language model."""
        return self.answer.usage

    @property
    def warnings(self) -> tuple[str, ...]:
        """Problems with the language model's answer."""
        return self.answer.warnings

    @cached_property
    def list(self) -> tuple[Ranked, ...]:
        """The entries that are shown."""
        return self._entries(self.order[: self.listed])

    @cached_property
    def ranked(self) -> tuple[Ranked, ...]:
        """The list that is shown, followed by the other candidates and by the refused ones."""
        lowest = float(self.scores.min()) - 1 if len(self.scores) else -1.0
        refused = (Ranked(candidate, lowest, {"refused": lowest}) for candidate in self.refused)
        return (*self.list, *self._entries(self.order[self.listed :]), *refused)

    def _entries(self, rows: Sequence[int]) -> tuple[Ranked, ...]:
        return tuple(
            Ranked(
                self.candidates[row],
                float(self.scores[row]),
                {name: float(values[row]) for name, values in self.signals.items()},
            )
            for row in rows
        )


def rank(
    candidates: Candidates,
    features: Floats,
    *,
    ranker: Ranker,
    person: Person,
    model: ModelAccess,
    config: RankConfig,
    k: int = 10,
) -> Ranking:
    """Order candidates by score. Candidates with equal scores keep their given order.

    The language model is shown only the best `config.weighed` candidates by all other signals. Candidates that it is
    not shown get the contribution of the one that it finds least likely.

    Args:
        candidates: What may be recommended.
        features: Standardised features, shape (candidates, features).
        ranker: The learned weights for candidates of this kind.
        person: The person who asks.
        model: The language model, if there is one.
        config: The settings that are not learned.
        k: The length of the list that is shown.
    """
    if not len(candidates):
        return Ranking()
    contributions = ranker(features, p_topic_change=person.p_topic_change, known=len(person.history))
    if person.wish.vector is not None:
        contributions["wish"] = config.wish * _wish_fit(candidates.vectors, person.wish.vector)
    if config.novelty:
        popularity = np.log1p(np.nan_to_num(candidates.statistics[:, STATISTICS.index("popularity")]))
        contributions["novelty"] = -config.novelty * standardise(popularity)
    of_reading = reading_figures(candidates.vectors, person.reading)
    contributions |= ranker.of_model(model, of_reading)

    def bound() -> dict[str, Floats]:
        return evidence(contributions, candidates.people, candidates.items, person.history)

    order = _order({**contributions, **bound()}, len(candidates))
    best = order[: config.for_list(len(candidates)).weighed]
    answer = ModelAnswer()
    asked_for = ORDER_FIGURES if model.orders else LIKELIHOOD_FIGURES
    if model.llm is not None and len(best) > 1 and ranker.asks(model, asked_for):
        answer = ask_model([candidates[row] for row in best], person, model, directions=config.permutations)
    if answer.figures:
        factor = ranker.others(model) if model.orders else 1.0
        # The reading and the order are learned together, so the factor leaves the reading as it is.
        contributions = {
            name: values if name in READING_FIGURES else factor * values for name, values in contributions.items()
        }
        contributions |= _spread(ranker.of_model(model, answer.figures), best, len(candidates))
    contributions |= bound()
    if config.exposure:
        scores = _sum(contributions, len(candidates))
        contributions["exposure"] = exposure(scores, candidates.people, k=k, given_up=config.exposure)
    order = _order(contributions, len(candidates))
    # The signals are rounded before they are summed, so that the displayed signals add up to the displayed score.
    signals = {name: np.round(values, 4) for name, values in contributions.items()}
    return Ranking(
        candidates,
        order.tolist(),
        listed=len(candidates),
        scores=np.round(_sum(signals, len(candidates)), 4),
        signals=signals,
        answer=answer,
        asked=tuple(best.tolist()),
        reading_figures=of_reading,
    )


def _sum(contributions: Mapping[str, Floats], size: int) -> Floats:
    return np.asarray(np.sum([np.zeros(size), *contributions.values()], axis=0))


def _order(contributions: Mapping[str, Floats], size: int) -> Ints:
    return np.argsort(-_sum(contributions, size), kind="stable")


def kind_of_given(candidates: Candidates) -> CandidateKind:
    """Return "given" if the log knows enough of the candidates that the caller supplied, else "cold"."""
    known = candidates.statistics[:, STATISTICS.index("popularity")] > 0
    return "given" if len(known) and known.mean() >= KNOWN_SHARE else "cold"


def _wish_fit(vectors: Vectors, wish: Vectors) -> Floats:
    """Return each candidate's standardised fit to the wish. It is at most 0 for candidates far from the wish."""
    cosine = vectors.astype(np.float64) @ wish
    return np.where(cosine < WISH_NEAR, np.minimum(standardise(cosine), 0.0), standardise(cosine))


def _spread(contributions: dict[str, Floats], rows: NDArray[np.int64], size: int) -> dict[str, Floats]:
    """Extend the contributions of `rows` to all rows. Every other row gets those of the least likely of `rows`."""
    least = int(np.argmin(sum(contributions.values())))
    whole = {}
    for name, values in contributions.items():
        whole[name] = np.full(size, float(values[least]))
        whole[name][rows] = values
    return whole
