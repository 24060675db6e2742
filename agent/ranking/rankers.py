"""The rankers: one score from all features, as a weighted sum plus the output of trees.

The weights are those of a conditional logit (McFadden, 1974). Trees (LambdaMART; Burges, 2010) are added if a log is
long enough to learn them. Both are sums, so every score splits into the contributions of the features.
"""

from functools import cache, cached_property
from hashlib import sha256
from importlib import resources
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

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
LIKELIHOOD_FEATURES = ("likelihood", "prior")
"""Features of an answer by a language model that gives likelihoods."""


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _of_these_features(names: tuple[str, ...]) -> tuple[str, ...]:
    if names != FEATURES:
        raise ValueError("learned from other features")
    return names


class Ranker(BaseModel):
    """What was learned for one kind of candidates.

    Attributes:
        weights: The weight of each feature, in log odds per standard deviation.
        likelihood: The weight of the gain in a language model's likelihood of an item when it sees the history.
        prior: The weight of a language model's likelihood of an item when it does not see the history.
        order: The weight of the order that a language model without likelihoods puts the items in.
        trees: The trees in LightGBM's text format; "" for none.
        digest: The SHA-256 of `trees`. LightGBM aborts the process on damaged trees, so they are checked first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, Weight]
    likelihood: Weight = 0.0
    prior: Weight = 0.0
    order: Weight = 0.0
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

    def __call__(self, features: Floats) -> dict[str, Floats]:
        """Return the contribution of each feature to the scores, keyed by feature name, shape (candidates,) each.

        A feature that contributes the same to all candidates is left out.

        Args:
            features: Standardised features, shape (candidates, FEATURES).
        """
        contributions = features * np.array([self.weights.get(name, 0.0) for name in FEATURES])
        if self.trees:
            # The last column is the mean output of the trees. It is the same for all candidates, so it is left out.
            contributions += self._booster.predict(features, pred_contrib=True)[:, :-1]
        columns = {name: contributions[:, column] for column, name in enumerate(FEATURES)}
        return {name: values for name, values in columns.items() if np.ptp(values) > 0}

    def asks(self, *, likelihoods: bool) -> bool:
        """Return whether a language model's answer has any weight.

        Args:
            likelihoods: Whether the model gives likelihoods.
        """
        return bool(self.likelihood or self.prior) if likelihoods else bool(self.order)

    def of_answer(self, model_features: Floats) -> dict[str, Floats]:
        """Return what a language model's answer contributes, keyed by feature name, shape (candidates,) each.

        Args:
            model_features: See `OptionScores.model_features`.
        """
        names = LIKELIHOOD_FEATURES if model_features.shape[1] == len(LIKELIHOOD_FEATURES) else ("order",)
        return {name: getattr(self, name) * model_features[:, column] for column, name in enumerate(names)}

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

    version: Literal[2] = 2
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
