"""The records of a log: items, and interactions of a user with an item."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from statistics import fmean, pstdev
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from whimbrel.tools.clean import clean_text, without_invisible
from whimbrel.tools.event_meanings import STRENGTHS, Meaning, meaning_of
from whimbrel.tools.fields import Fields, FieldValue
from whimbrel.tools.timestamps import DAY_SECONDS, Time, iso

LONGEST_ID, LONGEST_TITLE, LONGEST_TEXT, LONGEST_EVENT, LONGEST_IMAGE = 512, 500, 4000, 40, 2000  # characters
HIGHEST_RATING = 1e6
"""Ratings are at most so far from 0. The mean of larger ones could overflow."""
LONGEST_KEY = 40  # characters of the name of a situation
MOST_TOPICS = 32  # of one item
_WHOLE = re.compile(r"^(-?\d+)\.0+$")


def _clean_identifier(value: object) -> object:
    if isinstance(value, bytes):  # pydantic would take them as a text, after this has looked at it
        value = value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return clean_identifier(value) if isinstance(value, str) else value


def clean_identifier(text: str) -> str:
    """Return an id in NFC, without invisible characters and the spaces around it.

    `7.0` is `7`: so pandas writes the ids of a column with gaps.

    Raises:
        ValueError: the id contains a control character.

    Example:
        >>> clean_identifier(" 17850.0"), clean_identifier("007")
        ('17850', '007')
    """
    text = text.strip()
    if not (text.isascii() and text.isprintable()):
        if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in text):
            raise ValueError("an id holds a control character")
        text = _stripped(without_invisible(text))
    return _WHOLE.sub(r"\1", text) if text.endswith("0") else text


def _stripped(text: str) -> str:
    """Remove spaces and joiners around a text, in any order. Else an id would change each time it is cleaned."""
    while (stripped := text.strip().strip("\u200c\u200d")) != text:
        text = stripped
    return text


def identifier(value: object) -> str:
    """Return an id in the form that records use.

    Example:
        >>> identifier(7.0)
        '7'
    """
    return str(_clean_identifier(value))


def _clean_title(value: object) -> object:
    """Return a title as one line. A title may be a number: `1984`."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else clean_text(value)


def _clean_event(value: object) -> object:
    text = clean_text(value)
    return text.casefold() if isinstance(text, str) else text


def _clean_topics(value: object) -> object:
    """Return the distinct topics of a list, or of a text that separates them by `|`. Empty topics are dropped."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split("|")
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(topic, str | int | float) for topic in value):
        raise ValueError("topics are a list of texts, or one text with | between them")
    names = [str(clean_text(str(topic)))[:LONGEST_TITLE] for topic in value]
    return tuple(dict.fromkeys(name for name in names if name != ""))[:MOST_TOPICS]


def _clean_description(value: object) -> object:
    text = clean_text(value)
    return "" if text is None else text[:LONGEST_TEXT] if isinstance(text, str) else text


Identifier = Annotated[str, BeforeValidator(_clean_identifier), Field(min_length=1, max_length=LONGEST_ID)]
Title = Annotated[str, BeforeValidator(_clean_title), Field(min_length=1, max_length=LONGEST_TITLE)]
ContextKey = Annotated[str, BeforeValidator(clean_text), Field(min_length=1, max_length=LONGEST_KEY)]


def item_id_of(title: str) -> str:
    """Return the id of an item that has only a title. Titles that differ only in case get the same id."""
    return "t" + blake2b(title.casefold().encode(), digest_size=8).hexdigest()


class Item(BaseModel):
    """Something that can be recommended.

    Attributes:
        item_id: The id. If it is not given, it is derived from the title.
        title: One line of at most 500 characters.
        topics: At most 32 categories, tags or genres, the most important first.
        text: A description, cut at 4,000 characters.
        price: The price in the shop's currency; None if unknown.
        image: A file path or a web address.
        time: When the item appeared, in seconds since 1970 UTC (ISO 8601 in JSON); None if unknown.
        fields: Further facts of the catalogue, keyed by the name of the field (see `tools.fields`).

    Example:
        >>> Item(title="Green tea", topics="Drinks|Tea").topics
        ('Drinks', 'Tea')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: Identifier
    title: Title
    topics: Annotated[tuple[Title, ...], BeforeValidator(_clean_topics)] = ()
    text: Annotated[str, BeforeValidator(_clean_description)] = ""
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    image: str | None = Field(default=None, max_length=LONGEST_IMAGE)
    time: Time | None = None
    fields: Fields = Field(default_factory=dict)

    def fact(self, name: str) -> FieldValue | None:
        """Return the value of a field, or None if it is unknown. The title, text, topics and price are fields too.

        Example:
            >>> Item(title="Up", topics="Family", fields={"runtime": 96}).fact("runtime")
            96.0
        """
        if name == "topics":
            return self.topics
        if name in {"title", "text", "price"}:
            return getattr(self, name) if getattr(self, name) not in ("", None) else None
        value: FieldValue | None = self.fields.get(name)
        return value

    @model_validator(mode="before")
    @classmethod
    def _derive_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("item_id") in (None, "") and data.get("title") is not None:
            title = _clean_title(data["title"])
            return {**data, "item_id": item_id_of(str(title))} if title else data
        return data


class Event(BaseModel):
    """An interaction of a user with an item: its time, its kind and its situation.

    Attributes:
        user_id: The user's id.
        item_id: The item's id.
        time: The time in seconds since 1970 UTC (ISO 8601 in JSON).
        event: The kind of interaction, a word in lower case such as `purchase`, `click` or `rating`.
        rating: The user's rating on any scale, the higher the better; None if there is none.
        context: What the log knows about the situation, such as `{"place": "work"}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: Identifier
    item_id: Identifier
    time: Time
    event: Annotated[str, BeforeValidator(_clean_event), Field(min_length=1, max_length=LONGEST_EVENT)] = "interaction"
    rating: Annotated[float, Field(ge=-HIGHEST_RATING, le=HIGHEST_RATING)] | None = None
    context: dict[ContextKey, Title] = Field(default_factory=dict)

    @property
    def meaning(self) -> Meaning | None:
        """What the event word means; None if it is unknown."""
        return meaning_of(self.event)

    @property
    def event_id(self) -> str:
        """A digest of user, item, time and kind. Equal events have the same id in every source."""
        key = repr((self.user_id, self.item_id, iso(self.time), self.event))
        return blake2b(key.encode(), digest_size=8).hexdigest()


class Occurrence(NamedTuple):
    """A validated event of one user, in the form that the store keeps. It is a tuple, so millions fit in memory.

    `is_feedback` says that the event was recorded by Whimbrel, and not read from a source.
    """

    time: float
    item_id: str
    event: str
    rating: float | None = None
    context: dict[str, str] | None = None
    is_feedback: bool = False

    @property
    def key(self) -> tuple[float, str, str]:
        """The time, item and kind, which identify an event of a user. Occurrences are sorted by them."""
        return self.time, self.item_id, self.event


EXPIRES_DAYS: Mapping[str, float] = {"reject": 90}
"""Events that no longer count after so many days: what was turned down in a conversation may be right later."""


class Interaction(Event, Item):
    """An event together with its item. `time` is the time of the event.

    Attributes:
        own_meaning: What the event word means in its store, if the store has a meaning of its own.
    """

    time: Time
    own_meaning: Meaning | None = Field(default=None, exclude=True)

    @property
    def meaning(self) -> Meaning | None:
        """What the event word means; None if it is unknown."""
        return self.own_meaning or meaning_of(self.event)

    def is_expired(self, at: float) -> bool:
        """Return whether the event no longer counts at a moment (see `EXPIRES_DAYS`)."""
        return is_expired(self, at)

    @classmethod
    def join(
        cls, user_id: str, occurrence: Occurrence, item: Item, meanings: Mapping[str, Meaning] | None = None
    ) -> "Interaction":
        """Combine an occurrence and its item into an interaction. They are not validated again.

        Args:
            user_id: The user.
            occurrence: The event.
            item: Its item.
            meanings: The store's own meanings of event words.
        """
        time, _, event, rating, context, _ = occurrence
        store_meaning = meanings.get(event) if meanings else None
        # `model_construct` does the same, but it looks at every field. A history of a thousand events took it 40 ms.
        joined = cls.__new__(cls)
        values = {
            **item.__dict__,
            "user_id": user_id,
            "time": time,
            "event": event,
            "rating": rating,
            "context": context or {},
            "own_meaning": store_meaning,
        }
        object.__setattr__(joined, "__dict__", values)
        object.__setattr__(joined, "__pydantic_fields_set__", set(values))
        object.__setattr__(joined, "__pydantic_extra__", None)
        object.__setattr__(joined, "__pydantic_private__", None)
        return joined


def strength(item: Item) -> float:
    """Return how much an event counts as interest, from 0 to 1 (see `STRENGTHS`). An item without an event counts 1."""
    return STRENGTHS.get(getattr(item, "meaning", None) or "", 1.0)


def is_expired(item: Item, at: float) -> bool:
    """Return whether an event no longer counts at a moment (see `EXPIRES_DAYS`)."""
    days = EXPIRES_DAYS.get(getattr(item, "event", ""))
    return days is not None and item.time is not None and item.time + days * DAY_SECONDS <= at


KNOWN = "known"
"""The event of an item that a person said they know. It says nothing of liking it, and keeps it out of lists."""


def without_rejected(history: Sequence[Item]) -> list[Item]:
    """Return the history without rejected items, and without what the person only said to know.

    For each item, the events up to its last rejection are removed (an event that means "turned-away", see
    `tools.event_meanings`). Events after the rejection stay, because the user came back to the item.
    """
    rejections = {
        item.item_id: position
        for position, item in enumerate(history)
        if getattr(item, "meaning", None) == "turned-away"
    }
    return [
        item
        for position, item in enumerate(history)
        if position > rejections.get(item.item_id, -1) and getattr(item, "event", "") != KNOWN
    ]


def rejected_ids(history: Sequence[Item]) -> tuple[str, ...]:
    """Return the ids of the items that `without_rejected` removes entirely, in the order of the history."""
    remaining = {item.item_id for item in without_rejected(history)}
    return tuple(dict.fromkeys(item.item_id for item in history if item.item_id not in remaining))


def liked(history: Sequence[Item], *, deviations: float = 1.0) -> list[Item]:
    """Return the history without dislikes.

    A rating counts as a dislike if it is below the user's own mean by at least so many standard deviations. Events
    without a rating stay. A history without any ratings is returned unchanged.
    """
    ratings = [
        min(max(rating, -HIGHEST_RATING), HIGHEST_RATING)
        for item in history
        if (rating := getattr(item, "rating", None)) is not None
    ]
    if not ratings:
        return list(history)
    # With the mean as the limit, half of the films of a person who rates only what they chose to see would be dislikes.
    # NDCG@10 of 800 training queries of MovieLens 100K: .109 with the mean, .111 half a deviation below, .119 a whole.
    mean, limit = fmean(ratings), fmean(ratings) - deviations * pstdev(ratings)
    rated = [(item, getattr(item, "rating", None)) for item in history]
    return [item for item, rating in rated if rating is None or rating > limit or rating >= mean]


def digest_of(name: str) -> str:
    """Return a short text that stands for a name and does not tell it."""
    return blake2b(name.encode(), digest_size=8).hexdigest()
