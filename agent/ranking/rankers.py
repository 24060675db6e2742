"""The rankers: one score from all features, by a weight each and trees on top.

The weights are those of a conditional logit (McFadden, 1974). Trees (LambdaMART; Burges, 2010) are added where a log is
long enough to learn them. Both are sums, so every score can be told apart into what each feature contributed.
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
"""How candidates came about: retrieved from the catalogue; given, and known to the log; given, and unknown to it."""
LIKELIHOOD_FEATURES = ("likelihood", "prior")
"""What is weighed of the answer of a model with likelihoods."""


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _of_these_features(names: tuple[str, ...]) -> tuple[str, ...]:
    if names != FEATURES:
        raise ValueError("learned from other features")
    return names


class Ranker(BaseModel):
    """What was learned for one kind of candidates.

    Attributes:
        weights: The weight of each feature, in log odds a standard deviation.
        likelihood: The weight of what the history adds to a language model's likelihood of an item.
        prior: The weight of that likelihood without the history.
        order: The weight of the order of a language model without likelihoods.
        trees: LightGBM's text of the trees; "" for none.
        digest: The SHA-256 of `trees`. LightGBM ends the process over damaged trees, so they are checked first.
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
        """Return a copy with these trees; "" for none."""
        return self.model_copy(update={"trees": trees, "digest": _digest(trees) if trees else ""})

    def __call__(self, features: Floats) -> dict[str, Floats]:
        """Return what each feature contributes to the scores, by name, shape (candidates,) each.

        Args:
            features: Standardised features, shape (candidates, FEATURES).
        """
        contributions = features * np.array([self.weights.get(name, 0.0) for name in FEATURES])
        if self.trees:
            contributions += self._booster.predict(features, pred_contrib=True)[:, :-1]
        columns = {name: contributions[:, column] for column, name in enumerate(FEATURES)}
        return {name: values for name, values in columns.items() if np.ptp(values) > 0}

    def asks(self, *, likelihoods: bool) -> bool:
        """Return whether a language model's answer has any weight.

        Args:
            likelihoods: Whether the model has likelihoods.
        """
        return bool(self.likelihood or self.prior) if likelihoods else bool(self.order)

    def of_answer(self, model_features: Floats) -> dict[str, Floats]:
        """Return what a language model's answer contributes, by name, shape (candidates,) each.

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
        channels: The weight of each channel (see `tools.retrieval.channels`); 1 where it is absent.
        learned_from: The logs that taught the weights, in words.
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
        """Return the shipped weights, which `whimbrel eval defaults fusion` learned (docs/stages/rank.md)."""
        return cls.model_validate_json(resources.files(__package__).joinpath("shipped_weights.json").read_text("utf-8"))
