"""One score from all signals: a weight each (a conditional logit; McFadden, 1974) and, where a log is long enough to
learn them, trees on top (LambdaMART; Burges, 2010).

Both add up: of every score it can be said which signal brought how much of it.
"""

from functools import cache, cached_property
from hashlib import sha256
from importlib import resources
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from whimbrel.agent.ranking.features import SIGNALS

Floats = NDArray[np.float64]
Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]

CandidateKind = Literal["retrieved", "given", "cold"]
"""Candidates that retrieval brought; given ones that a log knows; given ones of which no log knows anything."""


ANSWERS = ("likelihood", "prior")
"""What is weighed of the answer of a model with likelihoods."""


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    if names != SIGNALS:
        raise ValueError("learned from other signals")
    return names


class Ranker(BaseModel):
    """Weights of SIGNALS, of what the history adds to a language model's likelihood of an item (`likelihood`), of that
    likelihood without the history (`prior`), of its order of candidates where it has no likelihoods (`order`), and
    trees as LightGBM writes them ("" for none), with their digest: LightGBM ends the process over damaged ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, Weight]
    likelihood: Weight = 0.0
    prior: Weight = 0.0
    order: Weight = 0.0
    trees: str = ""
    digest: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.trees and self.digest != _digest(self.trees):
            raise ValueError("the trees are damaged")
        return self

    def with_trees(self, trees: str) -> "Ranker":
        """The same with trees on top."""
        return self.model_copy(update={"trees": trees, "digest": _digest(trees) if trees else ""})

    def __call__(self, signals: Floats) -> dict[str, Floats]:
        """What each signal brings, by name, shape (candidates,) each, from standardised ones (candidates, signals)."""
        found = signals * np.array([self.weights.get(name, 0.0) for name in SIGNALS])
        if self.trees:
            found += self._booster.predict(signals, pred_contrib=True)[:, :-1]
        return {name: found[:, place] for place, name in enumerate(SIGNALS) if np.ptp(found[:, place]) > 0}

    def asks(self, *, likelihoods: bool) -> bool:
        """Whether the answer of a language model, one with likelihoods or one without, weighs anything."""
        return bool(self.likelihood or self.prior) if likelihoods else bool(self.order)

    def of_answer(self, figures: Floats) -> dict[str, Floats]:
        """What a language model's answer brings (see `OptionScores.model_features`), by name, shape (candidates,)
        each."""
        names = ANSWERS if figures.shape[1] == len(ANSWERS) else ("order",)
        return {name: getattr(self, name) * figures[:, place] for place, name in enumerate(names)}

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.trees)


class Rankers(BaseModel):
    """What was learned for each kind of candidates (see `Where`), and what each channel of retrieval is worth (see
    `tools.retrieve`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[2] = 2
    signals: Annotated[tuple[str, ...], AfterValidator(_known)] = SIGNALS
    channels: dict[str, Share] = {}
    retrieved: Ranker
    given: Ranker
    cold: Ranker
    learned_from: str = ""

    def of(self, where: CandidateKind) -> Ranker:
        """What holds for these candidates."""
        found: Ranker = getattr(self, where)
        return found

    @classmethod
    @cache
    def default(cls) -> Self:
        """What is shipped: learned from several logs (see docs/design.md)."""
        return cls.model_validate_json(resources.files(__package__).joinpath("fusion.json").read_text("utf-8"))
