"""What comes out: a shift of interest, recommendations, and the events that both rest on."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.tools.records import Interaction
from whimbrel.tools.timestamps import Time

ShiftKind = Literal["situational", "temporal", "contextual", "none"]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CitedEvent(_Result):
    """An event of the user's log. `time` is None only for histories that were given without times."""

    event_id: str
    item_id: str
    title: str
    time: Time | None
    event: str

    @classmethod
    def of(cls, interaction: Interaction) -> "CitedEvent":
        """The event as it stands in the log."""
        return cls(
            event_id=interaction.event_id,
            item_id=interaction.item_id,
            title=interaction.title,
            time=interaction.time,
            event=interaction.event,
        )


class Shift(_Result):
    """Where an interest goes. Of kind `none` where it stays, or where too little is known to say; `reason` tells
    which. `confidence` in [0, 1] is that of the kind named."""

    kind: ShiftKind
    from_topics: tuple[str, ...] = ()
    to_topics: tuple[str, ...] = ()
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.0
    evidence: tuple[CitedEvent, ...] = ()
    reason: str


class Recommendation(_Result):
    """One recommended item. `signals` are weighted contributions that add up to `score`."""

    rank: Annotated[int, Field(ge=1)]
    item_id: str
    title: str
    score: float
    explanation: str
    evidence: tuple[CitedEvent, ...] = ()
    signals: dict[str, float]


class StageUsage(_Result):
    """What one stage cost. Of the replies `remembered` came from the cache and cost nothing, `misfits` fitted no
    schema; `repairs` counts what had to be mended: numbers invented, repeated or left out, documents cut off."""

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
    """What one request cost, in all and by stage; `seconds` in all includes what is no stage."""

    stages: dict[str, StageUsage] = {}


class Recommendations(_Result):
    """The answer to one request, as of `at`."""

    user_id: str
    at: Time
    summary: str
    shift: Shift
    recommendations: tuple[Recommendation, ...]
    usage: RequestUsage
    warnings: tuple[str, ...] = ()
