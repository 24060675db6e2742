"""The results of a request: a shift of interest, recommendations, and the events that support them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.html import recommendations_html, shift_html
from whimbrel.agent.marks import HEADLINE_CONFIDENCE
from whimbrel.tools.frames import Tabular
from whimbrel.tools.records import Interaction
from whimbrel.tools.timestamps import Time

ShiftKind = Literal["situational", "temporal", "contextual", "none"]

MODEL_NOTE = "the model"
"""The beginning of a warning that only reports on the language model's replies, such as a replaced sentence. Nobody has
to act on such a warning, so screens leave it out (see `is_model_note`)."""


def model_note(words: str) -> str:
    """Write a warning that reports on the language model's replies.

    Example:
        >>> model_note("summary was replaced")
        "the model's summary was replaced"
    """
    return f"{MODEL_NOTE}'s {words}"


def is_model_note(warning: str) -> bool:
    """Return whether a warning only reports on the language model's replies."""
    return warning.startswith(MODEL_NOTE)


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CitedEvent(_Result):
    """An event of the user's log.

    Attributes:
        time: When the event happened. None only if the history was given without times.
    """

    event_id: str
    item_id: str
    title: str
    time: Time | None
    event: str

    @classmethod
    def of(cls, interaction: Interaction) -> "CitedEvent":
        """Cite an event of the log."""
        return cls(
            event_id=interaction.event_id,
            item_id=interaction.item_id,
            title=interaction.title,
            time=interaction.time,
            event=interaction.event,
        )


class Shift(_Result):
    """Where the interest of a person is going.

    Attributes:
        kind: The kind of shift. It is `none` if the interest stays or too little is known, and `reason` says which.
        from_topics: Topics that the interest leaves.
        to_topics: Topics that the interest moves to. If the kind is `none`, they are the likeliest next topics.
        confidence: The calibrated probability, in [0, 1], that the next event has one of `to_topics`. If the kind is
            `none`, it is the probability that the next event has one of the latest events' topics.
        evidence: Events that show the shift, the latest first.
        reason: A few sentences for people.
    """

    kind: ShiftKind
    from_topics: tuple[str, ...] = ()
    to_topics: tuple[str, ...] = ()
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    evidence: tuple[CitedEvent, ...] = ()
    reason: str

    @property
    def is_headline(self) -> bool:
        """Whether a shift is named and sure enough to be shown to people as a shift.

        Example:
            >>> Shift(kind="temporal", to_topics=("Tea",), confidence=0.38, reason="").is_headline
            False
        """
        return self.kind != "none" and self.confidence >= HEADLINE_CONFIDENCE

    def _repr_html_(self) -> str:
        return shift_html(self.model_dump(mode="json"))


class Recommendation(_Result):
    """One recommended item.

    Attributes:
        rank: The item's position in the list, from 1.
        score: Higher is better. Scores can only be compared within one list.
        explanation: The reason, a sentence for people.
        evidence: The person's events that the reason rests on, the strongest first.
        signals: Weighted contributions that add up to `score`.
        disclosures: What the operator's policy has said with the item.
    """

    rank: Annotated[int, Field(ge=1)]
    item_id: str
    title: str
    score: float
    explanation: str
    evidence: tuple[CitedEvent, ...] = ()
    signals: dict[str, float]
    disclosures: tuple[str, ...] = ()


class StageUsage(_Result):
    """What one stage cost.

    Attributes:
        cached_tokens: Prompt tokens that the model had already read.
        remembered: Replies that came from the reply cache and cost nothing.
        misfits: Replies that did not fit their schema.
        repairs: Repairs of replies. Numbers that were invented, repeated or left out are repaired, and so are documents
            that were cut off.
    """

    llm_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost_usd: float = 0.0
    remembered: int = 0
    misfits: int = 0
    repairs: int = 0


class RequestUsage(StageUsage):
    """What one request cost, in total and by stage. The total `seconds` include the time between stages."""

    stages: dict[str, StageUsage] = {}


class Recommendations(_Result, Tabular):
    """The answer to one request.

    Attributes:
        user_id: The person who asked. Empty for a new person.
        at: The moment of the request. Nothing that happened at or after it was used.
        summary: What the person is interested in, in one or two sentences.
        recommendations: The list, the best first. It is shorter than requested if too few items fit.
        warnings: What the caller should know about this answer, in one sentence each.
        path: How the list was made where little is known, in one sentence each: a new person, new items, a store
            without events, a history in another store. Empty if a history and a log made it.
    """

    user_id: str
    at: Time
    summary: str
    shift: Shift
    recommendations: tuple[Recommendation, ...]
    usage: RequestUsage
    warnings: tuple[str, ...] = ()
    path: tuple[str, ...] = ()

    def columns(self) -> dict[str, list[Any]]:
        """Return a row for each recommendation, with the shift in each, and a column `signal.NAME` for each signal.

        `evidence` holds the titles of the cited events and `event_ids` their ids.
        """
        listed = self.recommendations
        columns: dict[str, list[Any]] = {
            name: [getattr(entry, name) for entry in listed]
            for name in ("rank", "item_id", "title", "score", "explanation")
        }
        return {
            "user_id": [self.user_id] * len(listed),
            "at": [datetime.fromtimestamp(self.at, tz=UTC)] * len(listed),
            **columns,
            "evidence": ["; ".join(event.title for event in entry.evidence) for entry in listed],
            "event_ids": ["; ".join(event.event_id for event in entry.evidence) for entry in listed],
            "disclosures": ["; ".join(entry.disclosures) for entry in listed],
            "shift_kind": [self.shift.kind] * len(listed),
            "shift_confidence": [self.shift.confidence] * len(listed),
            **{
                f"signal.{name}": [float(entry.signals.get(name, 0.0)) for entry in listed]
                for name in dict.fromkeys(name for entry in listed for name in entry.signals)
            },
        }

    def _repr_html_(self) -> str:
        return recommendations_html(self.model_dump(mode="json"))
