"""The bodies of HTTP requests."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from whimbrel.tools.records import HIGHEST_RATING, LONGEST_ID, LONGEST_TITLE, Item, identifier

Moment = Annotated[str | float | None, Field(description="ISO 8601 or Unix seconds; by default now.")]


def _identifier(value: object) -> object:
    return identifier(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else value


UserId = Annotated[
    str, BeforeValidator(_identifier), Field(min_length=1, max_length=LONGEST_ID, description="The person's id.")
]


class Body(BaseModel):
    """A body of known fields only."""

    model_config = ConfigDict(extra="forbid")


class PersonBody(Body):
    """A request about a person."""

    user_id: UserId


class RecommendBody(PersonBody):
    """A request for a list."""

    at: Moment = None
    context: dict[str, Any] = Field(default_factory=dict, description="The situation, and `query`, `avoid`, ...")
    k: int = Field(default=10, ge=1, le=200)


class RankBody(Body):
    """A request to rank candidates for a history that the caller sends."""

    history: Sequence[Item] = Field(default=(), max_length=1000)
    candidates: Sequence[Item] = Field(min_length=1, max_length=500)
    context: dict[str, Any] = Field(default_factory=dict)


class ShiftBody(PersonBody):
    """A request for a person's shift of interest."""

    at: Moment = None
    context: dict[str, Any] = Field(default_factory=dict)


class FeedbackBody(PersonBody):
    """What a person did. The item is named by its id, or by its title."""

    item_id: str = Field(default="", max_length=LONGEST_ID)
    title: str = Field(default="", max_length=LONGEST_TITLE)
    event: str = Field(default="interaction", min_length=1, max_length=40)
    time: Moment = None
    rating: float | None = Field(default=None, ge=-HIGHEST_RATING, le=HIGHEST_RATING)
    context: dict[str, str] = Field(default_factory=dict)


class ChatBody(Body):
    """A line of a conversation. Without a line, the conversation is opened."""

    user_id: Annotated[str, BeforeValidator(_identifier), Field(max_length=LONGEST_ID)] = ""
    session: str = Field(default="", max_length=64, description="A name of the conversation, chosen by the caller.")
    line: str = Field(default="", max_length=4000)
