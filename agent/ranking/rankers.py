"""The rankers: one score from all features, as a weighted sum plus the output of trees.

The weights are those of a conditional logit (McFadden, 1974). Trees (LambdaMART; Burges, 2010) are added if a log is
long enough to learn them. Both are sums, so every score splits into the contributions of the features.
"""

from collections.abc import Collection, Mapping
from functools import cache, cached_property
from hashlib import sha256
from importlib import resources
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.tools.log.interaction_log import Floats

Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
ChannelWeight = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]

CandidateKind = Literal["retrieved", "given", "cold"]
"""Where candidates come from.

retrieved: from the catalogue.
given: supplied by the caller; the log knows enough of them.
cold: supplied by the caller; the log knows too few of them.
"""
LIKELIHOOD_FIGURES = ("likelihood", "prior")
READING_FIGURES = ("phrases", "unwanted")
ORDER_FIGURES = ("order", "grade", "agreement")
MODEL_FIGURES = (*LIKELIHOOD_FIGURES, *READING_FIGURES, *ORDER_FIGURES)
"""What a language model says of a candidate, in figures of mean 0.

likelihood, prior: how likely the title is with and without the history (see `OptionScores.figures`).
phrases, unwanted: cosine of the text with the nearest phrase for what the person may want, or would not want next.
order, grade, agreement: the model's order of the candidates (see `order_options`).
"""
LEAST_FEATURES = 20
"""Rankers of the earliest version that can be read know so many features. Later ones have no weight in them."""
OTHERS = "others"
"""Name of the factor by which all other contributions count once a model has ordered the candidates."""


def moving_share(p_topic_change: float | None) -> float:
    """Return the share of the moving weights: the probability of a topic change, or one half if it is unknown."""
    return 0.5 if p_topic_change is None else p_topic_change


FEW_EVENTS: Mapping[CandidateKind, int] = {"retrieved": 5, "given": 2}
"""From so many known events on, the weights for new people do not count any more.

With 5 for given candidates, games fell from an NDCG@10 of .687 to .649 (`whimbrel eval rank`, n=100).
"""


def new_share(known: int, few: int) -> float:
    """Return the share of the weights for new people: 1 without a known event, 0 from `few` known events on."""
    return max(1 - known / few, 0.0)


def row_of(weights: Mapping[str, float]) -> Floats:
    """Return weights as an array in the order of FEATURES."""
    return np.array([weights.get(name, 0.0) for name in FEATURES])


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _of_these_features(names: tuple[str, ...]) -> tuple[str, ...]:
    """Accept the features of this version, or the first of them, which an earlier version knew."""
    if names != FEATURES[: len(names)] or len(names) < LEAST_FEATURES:
        raise ValueError("learned from other features")
    return FEATURES


class Ranker(BaseModel):
    """What was learned for one kind of candidates.

    Attributes:
        weights: The weight of each feature, in log odds per standard deviation.
        moving: The weights if the topic of the next event is sure to change. `weights` then hold if it is sure to stay,
            and the probability of a change mixes the two. If empty, `weights` hold in any case.
        new: The weights if nothing is known of the person. With each event, the other weights and the trees count more
            (see `new_share`). If empty, these hold in any case.
        few: From so many known events on, `new` does not count.
        models: The weight of each figure of a language model, keyed by the digest of a model, or by a tier for all
            other models of that tier. `OTHERS` is a factor.
        trees: The trees in LightGBM's text format; "" for none.
        digest: The SHA-256 of `trees`. LightGBM aborts the process on damaged trees, so they are checked first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, Weight]
    moving: dict[str, Weight] = {}
    new: dict[str, Weight] = {}
    few: Annotated[int, Field(ge=1)] = 1
    models: dict[str, dict[str, Weight]] = {}
    trees: str = ""
    digest: str = ""

    @model_validator(mode="after")
    def _check_digest(self) -> Self:
        if self.trees and self.digest != _digest(self.trees):
            raise ValueError("the trees are damaged")
        return self

    def with_trees(self, trees: str) -> "Ranker":
        """Return a copy with these trees. An empty text removes the trees."""
        return self.model_copy(update={"trees": trees, "digest": _digest(trees) if trees else ""})

    def __call__(
        self, features: Floats, *, p_topic_change: float | None = None, known: int | None = None
    ) -> dict[str, Floats]:
        """Return the contribution of each feature to the scores, keyed by feature name, shape (candidates,) each.

        A feature that contributes the same to all candidates is left out.

        Args:
            features: Standardised features, shape (candidates, FEATURES).
            p_topic_change: The probability that the next event has none of the latest topics; None if unknown.
            known: How many events of the person are known; None for many.
        """
        contributions = features * self.weights_at(p_topic_change)
        if self.trees:
            # The last column is the mean output of the trees. It is the same for all candidates, so it is left out.
            known = self._booster.num_feature()
            contributions[:, :known] += self._booster.predict(features[:, :known], pred_contrib=True)[:, :-1]
        if self.new and known is not None:
            share = new_share(known, self.few)
            contributions = (1 - share) * contributions + share * features * row_of(self.new)
        columns = {name: contributions[:, column] for column, name in enumerate(FEATURES)}
        return {name: values for name, values in columns.items() if np.ptp(values) > 0}

    def asks(self, model: ModelAccess, figures: Collection[str]) -> bool:
        """Return whether any of these figures of a model has a weight."""
        return any(self.model_weights(model).get(name) for name in figures)

    def of_model(self, model: ModelAccess, figures: Mapping[str, Floats]) -> dict[str, Floats]:
        """Return what a model's figures contribute, keyed by figure, shape (candidates,) each."""
        weights = self.model_weights(model)
        return {name: weights[name] * values for name, values in figures.items() if weights.get(name)}

    def others(self, model: ModelAccess) -> float:
        """Return the factor of all other contributions once a model has ordered the candidates."""
        return self.model_weights(model).get(OTHERS, 1.0)

    def model_weights(self, model: ModelAccess) -> Mapping[str, float]:
        """Return the weights of a model's figures: those learned for this very model, else those of its tier."""
        digest = model.llm.digest if model.llm is not None else ""
        return self.models.get(digest, self.models.get(model.tier, {}))

    def weights_at(self, p_topic_change: float | None) -> Floats:
        """Return the weights of people of whom much is known, shape (FEATURES,)."""
        staying = row_of(self.weights)
        if not self.moving:
            return staying
        share = moving_share(p_topic_change)
        return (1 - share) * staying + share * row_of(self.moving)

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.trees)


class Rankers(BaseModel):
    """What was learned for each kind of candidates, and the weight of each retrieval channel.

    Attributes:
        signals: The features that the weights belong to.
        channels: The weight of each channel (see `tools.retrieval.channels`). A channel that is absent has weight 1.
        learned_from: A description of the logs that the weights were learned from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[3] = 3
    signals: Annotated[tuple[str, ...], AfterValidator(_of_these_features)] = FEATURES
    channels: dict[str, ChannelWeight] = {}
    retrieved: Ranker
    given: Ranker
    cold: Ranker
    learned_from: str = ""

    def of(self, kind: CandidateKind) -> Ranker:
        """Return the ranker for candidates of this kind."""
        ranker: Ranker = getattr(self, kind)
        return ranker

    @classmethod
    @cache
    def default(cls) -> Self:
        """Return the shipped weights. `whimbrel eval defaults fusion` learned them (see docs/stages/rank.md)."""
        return cls.model_validate_json(resources.files(__package__).joinpath("shipped_weights.json").read_text("utf-8"))
