"""What a log consists of: items, and interactions of a user with an item."""

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from whimbrel.tools.timestamps import Time, iso

LONGEST_ID, LONGEST_TITLE, LONGEST_TEXT, MOST_TOPICS = 512, 500, 4000, 32


def clean_text(value: object) -> object:
    """One line without control, format or surrogate characters; other types pass through to be refused."""
    if not isinstance(value, str):
        return value
    if value.isprintable():
        return " ".join(value.split())
    kept = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in value)
    return " ".join("".join(c for c in kept if unicodedata.category(c) not in {"Cf", "Cs", "Co", "Cn"}).split())


def _identifier(value: object) -> object:
    """Ids arrive as text or whole numbers; `7`, `7.0` and `"7"` are one id. A text is kept but for spaces around it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str):
        return value
    if any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in value.strip()):
        raise ValueError("an id holds a control character")
    return value.strip()


def identifier(value: object) -> str:
    """An id as the records keep it."""
    return str(_identifier(value))


def _words(value: object) -> object:
    """A title may be a number: `1984`."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else clean_text(value)


def _word(value: object) -> object:
    text = clean_text(value)
    return text.casefold() if isinstance(text, str) else text


def _topics(value: object) -> object:
    """A list, or one text with `|` between topics; empty ones and repeats fall away."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = value.split("|")
    if not isinstance(value, list | tuple):
        return value
    if not all(isinstance(topic, str | int | float) for topic in value):
        raise ValueError("topics are a list of texts, or one text with | between them")
    named = [str(clean_text(str(topic)))[:LONGEST_TITLE] for topic in value]
    return tuple(dict.fromkeys(topic for topic in named if topic != ""))[:MOST_TOPICS]


def _shortened(value: object) -> object:
    text = clean_text(value)
    return "" if text is None else text[:LONGEST_TEXT] if isinstance(text, str) else text


Identifier = Annotated[str, BeforeValidator(_identifier), Field(min_length=1, max_length=LONGEST_ID)]
Words = Annotated[str, BeforeValidator(_words), Field(min_length=1, max_length=LONGEST_TITLE)]


def item_id_of(title: str) -> str:
    """The id of an item known by its title alone: equal titles, whatever their case, are one item."""
    return "t" + blake2b(title.casefold().encode(), digest_size=8).hexdigest()


class Item(BaseModel):
    """Something that can be recommended.

    `item_id` is derived from the title where none is given. `topics` are categories, tags or genres, the
    most telling first. `time` is when the item appeared (UTC seconds; ISO 8601 in JSON), None where unknown.
    `image` is a path or address; `price` is in the shop's currency. Text is cut at 4,000 characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item_id: Identifier
    title: Words
    topics: Annotated[tuple[Words, ...], BeforeValidator(_topics)] = ()
    text: Annotated[str, BeforeValidator(_shortened)] = ""
    price: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    image: str | None = Field(default=None, max_length=2000)
    time: Time | None = None

    @model_validator(mode="before")
    @classmethod
    def _derive_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("item_id") in (None, "") and data.get("title") is not None:
            title = _words(data["title"])
            return {**data, "item_id": item_id_of(str(title))} if title else data
        return data


class Event(BaseModel):
    """One line of a log: who met which item, when, how, and in what situation.

    `event` is a lower-case word (`purchase`, `click`, `rating`); `context` holds what the log knew of the
    situation (`{"place": "work"}`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: Identifier
    item_id: Identifier
    time: Time
    event: Annotated[str, BeforeValidator(_word), Field(min_length=1, max_length=40)] = "interaction"
    rating: Annotated[float, Field(allow_inf_nan=False)] | None = None
    context: dict[Annotated[str, Field(max_length=40)], Words] = Field(default_factory=dict)

    @property
    def event_id(self) -> str:
        """The same event has the same id wherever it is read: a digest of who, what, when and how."""
        key = repr((self.user_id, self.item_id, iso(self.time), self.event))
        return blake2b(key.encode(), digest_size=8).hexdigest()


class Occurrence(NamedTuple):
    """An event of one user, validated and bare: what the store keeps, light enough for millions."""

    time: float
    item_id: str
    event: str
    rating: float | None = None
    context: dict[str, str] | None = None

    @property
    def key(self) -> tuple[float, str, str]:
        """What makes two occurrences of one user the same event; also their order."""
        return self.time, self.item_id, self.event


class Interaction(Event, Item):
    """An event together with its item. `time` is the moment of the event."""

    time: Time

    @classmethod
    def join(cls, user_id: str, occurrence: Occurrence, item: Item) -> "Interaction":
        """The occurrence with its item's title, topics, text, price and image; both are already validated."""
        time, _, event, rating, context = occurrence
        of_event = {"time": time, "event": event, "rating": rating, "context": context or {}}
        return cls.model_construct(**{**dict(item), "user_id": user_id, **of_event})


DISLIKED = frozenset(
    {"dislike", "disliked", "downvote", "unlike", "hide", "hidden", "skip", "skipped", "remove", "removed", "return"}
    | {"returned", "refund", "refunded", "report", "block", "unfollow", "not_interested"}
)
"""Words of events by which a person turns away from an item."""


def followed(history: Sequence[Item]) -> list[Item]:
    """The history without the items that the person turned away from, up to where they did."""
    away = {item.item_id: place for place, item in enumerate(history) if getattr(item, "event", "") in DISLIKED}
    return [item for place, item in enumerate(history) if place > away.get(item.item_id, -1)]


def turned_from(history: Sequence[Item]) -> tuple[str, ...]:
    """Ids of items that `followed` leaves out."""
    kept = {item.item_id for item in followed(history)}
    return tuple(dict.fromkeys(item.item_id for item in history if item.item_id not in kept))


def liked(history: Sequence[Item]) -> list[Item]:
    """The history without what the person rated below their own mean; whole where nothing was rated."""
    ratings = [rating for item in history if (rating := getattr(item, "rating", None)) is not None]
    if not ratings:
        return list(history)
    mean = sum(ratings) / len(ratings)
    return [item for item in history if (rating := getattr(item, "rating", None)) is None or rating >= mean]
