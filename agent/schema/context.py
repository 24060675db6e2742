"""The situation of a request: what the caller knows of it and what the person says they want."""

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from whimbrel.tools.records import Item, clean_text
from whimbrel.tools.timestamps import parse_time

LONGEST_WISH = 500
EARLIEST_MOMENT = parse_time("1980")
"""A number below it is an hour or a year, no moment."""

_REFUSAL = re.compile(
    r"\b(?:(?:do|does|did) not (?:want|like|need)|(?:don't|doesn't|didn't|never) (?:want|like|need)|nothing with|"
    r"anything but|no|(?<!can )not(?= )|without|except|avoid|hate|less)\s+"
    r"(?!too\b|very\b|so\b|only\b|sure\b|wait\b|matter\b|problem\b)(?:any |more |the |a |an )?"
    r"([^,.;!?]+?)(?=\s+(?:but|and (?:no|not)|please|today|tonight)\b|[,.;!?]|$)",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:\s*(?:but|and|i|i'm|i'd|am|please|want|would like|like|in the mood for|looking for|give me|show me)\b)+",
    re.IGNORECASE,
)
_ENDING = re.compile(r"(?:\b(?:but|and|i|please)\s*)+$", re.IGNORECASE)
_ALTERNATIVES = re.compile(r"\s*(?:/|\bor\b|\band\b|&)\s*", re.IGNORECASE)


class Context(BaseModel):
    """`query` is a stated wish in free words; `avoid` names what must not come; `more` are items whose like is
    wanted; `unavailable` are ids of items that cannot be had, and nothing of a known price above `max_price` is wanted.
    Any other key describes the situation (`place="work"`) and is compared with what the log knew, but a `time`
    that is a date: it is the moment of the request, for a history that is given without a store."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, str | int | float | bool]

    query: str = ""
    avoid: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    max_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @field_validator("query", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        text = clean_text(value)
        return text[:LONGEST_WISH] if isinstance(text, str) else text

    @field_validator("avoid", "more", "unavailable", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def admits(self, item: Item) -> bool:
        """Whether an item can be had, at a price that is wanted."""
        dear = self.max_price is not None and item.price is not None and item.price > self.max_price
        return item.item_id not in self.unavailable and not dear

    @property
    def situation(self) -> dict[str, str]:
        """The keys that describe the situation, as texts."""
        given = {key: str(value) for key, value in (self.__pydantic_extra__ or {}).items()}
        return {key: value for key, value in given.items() if key != "time" or self.moment is None}

    @property
    def moment(self) -> float | None:
        """The time, in UTC seconds, where `time` is a date; None where it is a word (`morning`) or absent."""
        try:
            seconds = parse_time((self.__pydantic_extra__ or {}).get("time"))
        except ValueError:
            return None
        return seconds if seconds >= EARLIEST_MOMENT else None

    def wanting(self, words: str) -> "Context":
        """This context with what a person now says: `something for a birthday, no snacks`.

        What they refuse adds to `avoid`; what they want, if anything is left, becomes the query.
        """
        want, refused = read_wish(words)
        return self.model_copy(
            update={"query": want or self.query, "avoid": tuple(dict.fromkeys([*self.avoid, *refused]))}
        )


def read_wish(words: str) -> tuple[str, tuple[str, ...]]:
    """What is wanted and what is refused: `"a film, no horror or war"` gives `("a film", ("horror", "war"))`."""
    words = str(clean_text(words))[:LONGEST_WISH].replace("\u2019", "'")
    refused = tuple(
        part.strip() for match in _REFUSAL.finditer(words) for part in _ALTERNATIVES.split(match[1]) if part.strip()
    )
    want = re.sub(r"\s*([,.;!?])(?:\s*[,.;!?])+", r"\1", _REFUSAL.sub("", words))
    want = _ENDING.sub("", _OPENING.sub("", want.strip(" ,.;!?")))
    return want.strip(" ,.;!?"), refused


def as_context(context: "Context | Mapping[str, object] | None") -> Context:
    """A context from what a caller gave; a query in it is read for refusals."""
    if context is not None and not isinstance(context, Context | Mapping):
        raise TypeError(f"context must be a Context or a mapping as {{'place': 'work'}}, got {context!r}")
    try:
        given = context if isinstance(context, Context) else Context.model_validate(dict(context or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"context {first['loc'][0]!r}: {first['msg']}") from None
    return given.model_copy(update={"query": ""}).wanting(given.query) if given.query else given
