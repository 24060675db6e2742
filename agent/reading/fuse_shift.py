"""Fuse the shift that the statistics predict with the shift that a model read into one shift and one probability.

Both speak of the same event: the next event has one of some topics. The statistics and the model each give a
probability. A logistic regression over the two log odds gives the fused one (see `ShiftFusion`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.reading.read_person import Reading, ReadShift
from whimbrel.agent.schema.results import CitedEvent, Shift
from whimbrel.agent.shift.predict import MOST_TO_TOPICS, Prediction
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.records import Interaction, Item

LEAST_NAMED = 0.5
"""A shift that only the model sees is named if its fused probability is at least this."""
LOWEST, HIGHEST = 0.01, 0.99
"""Probabilities are cut to this range before their log odds are taken. A model often states 0 or 1."""

Weight = Annotated[float, Field(ge=-20, le=20, allow_inf_nan=False)]


class ShiftFusion(BaseModel):
    """The learned weights of the log odds of the statistics and of the model.

    The default leaves the probability of the statistics as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bias: Weight = 0.0
    statistics: Annotated[Weight, Field(ge=0)] = 1.0
    model: Annotated[Weight, Field(ge=0)] = 0.0
    learned_from: str = ""

    def probability(self, statistics: float, model: float) -> float:
        """Fuse two probabilities of the same event.

        Example:
            >>> round(ShiftFusion(statistics=0.5, model=0.5).probability(0.5, 0.5), 3)
            0.5
        """
        odds = self.bias + self.statistics * log_odds(statistics) + self.model * log_odds(model)
        return float(1 / (1 + np.exp(-odds)))

    @classmethod
    @cache
    def default(cls) -> Self:
        """Return the shipped weights."""
        return cls.model_validate_json(resources.files(__package__).joinpath("shift_fusion.json").read_text("utf-8"))


def log_odds(probability: float) -> float:
    """Return the log odds of a probability, which is cut to [LOWEST, HIGHEST]."""
    cut = min(max(probability, LOWEST), HIGHEST)
    return float(np.log(cut / (1 - cut)))


def probability_of_any(topics: Sequence[str], expected: Mapping[str, float]) -> float:
    """Return the probability that the next event has one of some topics, from the probability of each topic.

    The probabilities of topics add up to about 1, so they are added. An event with several topics counts in part for
    each of them, so the sum is slightly too low. The fusion's weights correct for it.
    """
    return min(sum(expected.get(topic, 0.0) for topic in topics), HIGHEST)


def fuse_shift(
    prediction: Prediction, reading: Reading, *, wished: bool, say: Phrases, fusion: ShiftFusion | None = None
) -> Prediction:
    """Fuse a predicted shift with a reading.

    If the statistics name a shift, its kind and topics stay. Topics that the model names too come first. If only the
    model names a shift, it is named from LEAST_NAMED on. Where the two disagree, the reason says what each expects.

    Args:
        prediction: What the statistics predict.
        reading: What the model read.
        wished: Whether the person stated a wish. The topics that the model reads from it then replace those that only
            resemble its words.
        say: The sentences of the language.
        fusion: The learned weights. The default is what is shipped.
    """
    read, shift = reading.shift, prediction.shift
    if read is None:
        return prediction
    fusion = fusion or ShiftFusion.default()
    if wished:
        return replace(prediction, shift=_wished(shift, read))
    if shift.kind != "none":
        return replace(prediction, shift=_both(shift, read, fusion, say))
    statistics = probability_of_any(read.to_topics, prediction.topics)
    fused = fusion.probability(statistics, read.probability)
    if read.kind == "none" or fused < LEAST_NAMED or not read.why:
        return replace(prediction, shift=_doubted(shift, read, say))
    named = Shift(
        kind=read.kind,
        from_topics=read.from_topics,
        to_topics=read.to_topics,
        confidence=round(fused, 3),
        evidence=_evidence(read.events),
        reason=say.writing.sentence_gap.join([read.why, say.reading.no_test]),
    )
    return replace(prediction, shift=named)


def _wished(shift: Shift, read: ReadShift) -> Shift:
    """Return the shift to a wish, with the topics that the model reads from it."""
    return shift.model_copy(
        update={
            "to_topics": read.to_topics,
            "from_topics": tuple(topic for topic in shift.from_topics if topic not in read.to_topics),
        }
    )


def _both(shift: Shift, read: ReadShift, fusion: ShiftFusion, say: Phrases) -> Shift:
    """Return the shift of the statistics, with the fused probability."""
    shared = [topic for topic in shift.to_topics if topic in read.to_topics]
    # A model that expects other topics speaks against these by as much as it is sure of those.
    probability = read.probability if shared else 1 - read.probability
    reason = shift.reason
    if not shared:
        reason = say.writing.sentence_gap.join([reason, _expects(read, say)])
    return shift.model_copy(
        update={
            "to_topics": tuple(dict.fromkeys([*shared, *shift.to_topics]))[:MOST_TO_TOPICS],
            "confidence": round(fusion.probability(shift.confidence, probability), 3),
            "reason": reason,
        }
    )


def _doubted(shift: Shift, read: ReadShift, say: Phrases) -> Shift:
    """Return the kind `none`, with a sentence on the shift that the model sees, if it sees one."""
    if read.kind == "none" or not set(read.to_topics) - set(shift.to_topics):
        return shift
    return shift.model_copy(update={"reason": say.writing.sentence_gap.join([shift.reason, _expects(read, say)])})


def _expects(read: ReadShift, say: Phrases) -> str:
    return say.reading.expects.format(topics=say.writing.listed(read.to_topics), share=f"{read.probability:.0%}")


def _evidence(events: Sequence[Item]) -> tuple[CitedEvent, ...]:
    logged = [event for event in events if isinstance(event, Interaction)]
    return tuple(CitedEvent.of(event) for event in sorted(logged, key=lambda event: -event.time)[:5])
