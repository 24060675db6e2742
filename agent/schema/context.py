"""The context of a request: the situation, and the person's wishes."""

from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from whimbrel.agent.schema.wishes_and_refusals import LONGEST_WISH, read_wish
from whimbrel.tools.clean import clean_text, without_invisible
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item, clean_identifier
from whimbrel.tools.timestamps import parse_time

EARLIEST_MOMENT = parse_time("1980")
"""A `time` before this date is a number such as an hour or a year, and not a moment."""


MOST_REFUSALS = 200
"""Each refusal is compared with the text of every candidate."""


class Context(BaseModel):
    """What is known about a request apart from the history.

    Any other key describes the situation, as in `place="work"`. It is compared with the situations in the log. One key
    is special: if `time` is a date, it is the moment of the request. It counts only if the history is given without a
    store.

    Attributes:
        query: A wish in free words.
        avoid: Topics, titles or words that must not be recommended, at most MOST_REFUSALS.
        more: Ids of items for which similar items are wanted.
        unavailable: Ids of items that are not available.
        max_price: The highest price. Items whose price is not known are allowed.
        conditions: Conditions on the fields of items, all of which must hold (see `tools.conditions`).
        repeat: Whether items of the history may be recommended, such as groceries.

    Example:
        >>> Context.model_validate({"place": "work", "avoid": "tea"}).situation
        {'place': 'work'}
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, str | int | float | bool]

    query: str = ""
    avoid: tuple[str, ...] = Field(default=(), max_length=MOST_REFUSALS)
    more: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    max_price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    conditions: tuple[Condition, ...] = ()
    repeat: bool = False

    @model_validator(mode="before")
    @classmethod
    def _clean_texts(cls, data: object) -> object:
        """Clean keys, texts and ids as those of the log are cleaned."""
        if not isinstance(data, Mapping):
            return data
        cleaned = {clean_text(key): _cleaned(value, clean_text) for key, value in data.items()}
        ids = {key: _cleaned(data[key], _clean_id) for key in ("more", "unavailable") if key in data}
        return cleaned | ids

    def without(self, covers: Callable[[str], bool]) -> "Context":
        """Return the context without the wishes, refusals and situations that a function returns True for."""
        extra = self.__pydantic_extra__ or {}
        hidden = {key for key, value in extra.items() if covers(key) or covers(str(value))}
        query = "" if covers(self.query) else self.query
        avoid = tuple(word for word in self.avoid if not covers(word))
        return Context.model_validate(self.model_dump(exclude=hidden) | {"query": query, "avoid": avoid})

    @field_validator("query", mode="before")
    @classmethod
    def _clean(cls, value: object) -> object:
        text = clean_text(value)
        return text[:LONGEST_WISH] if isinstance(text, str) else text

    @field_validator("avoid", "more", "unavailable", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("avoid")
    @classmethod
    def _shorten(cls, refusals: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(words[:LONGEST_WISH] for words in refusals)

    def admits(self, item: Item) -> bool:
        """Return whether an item is available, costs no more than `max_price` and fulfils all conditions."""
        too_expensive = self.max_price is not None and item.price is not None and item.price > self.max_price
        is_fit = all(condition.holds(item) for condition in self.conditions)
        return item.item_id not in self.unavailable and not too_expensive and is_fit

    @property
    def situation(self) -> dict[str, str]:
        """The keys that describe the situation, with their values as texts."""
        # A `time` is part of the situation only if it is a word such as `morning` and not a moment.
        given = {key: str(value) for key, value in (self.__pydantic_extra__ or {}).items()}
        return {key: value for key, value in given.items() if key != "time" or self.moment is None}

    @property
    def moment(self) -> float | None:
        """The moment of the request in Unix seconds. None if `time` is absent or a word such as `morning`."""
        try:
            seconds = parse_time((self.__pydantic_extra__ or {}).get("time"))
        except ValueError:
            return None
        return seconds if seconds >= EARLIEST_MOMENT else None

    def wanting(self, words: str) -> "Context":
        """Return this context with a new wish added.

        What the wish refuses is added to `avoid`. What it wants, if anything, replaces the query.

        Example:
            >>> Context(query="tea").wanting("something for a birthday, no snacks").avoid
            ('snacks',)
        """
        want, refused = read_wish(words)
        avoid = tuple(dict.fromkeys([*self.avoid, *refused]))[-MOST_REFUSALS:]
        return self.model_copy(update={"query": want or self.query, "avoid": avoid})


def _cleaned(value: object, clean: Callable[[object], object]) -> object:
    return [clean(entry) for entry in value] if isinstance(value, list | tuple) else clean(value)


def _clean_id(value: object) -> object:
    # A command line may pass surrogates, which are halves of characters. No id holds them.
    return clean_identifier(without_invisible(value)) if isinstance(value, str) else value


def as_context(context: "Context | Mapping[str, object] | None") -> Context:
    """Make a context from the caller's value, and move what its query refuses to `avoid`.

    Raises:
        TypeError: The value is neither a context nor a mapping.
        ValueError: A field has an invalid value.
    """
    if context is not None and not isinstance(context, Context | Mapping):
        raise TypeError(f"context must be a Context or a mapping as {{'place': 'work'}}, got {context!r}")
    try:
        given = context if isinstance(context, Context) else Context.model_validate(dict(context or {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = f"context {first['loc'][0]!r}" if first["loc"] else "context"  # ids are cleaned before all fields
        raise ValueError(f"{where}: {first['msg']}") from None
    return given.model_copy(update={"query": ""}).wanting(given.query) if given.query else given
