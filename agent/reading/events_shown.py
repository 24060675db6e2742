"""A person's latest events as numbered lines, in the form that prompts show them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import numpy as np

from whimbrel.tools.log.sessions import session_numbers
from whimbrel.tools.records import Item
from whimbrel.tools.text.titles import TITLE_LENGTH

SHOWN_TOPICS = 3
"""Most topics of an item in a prompt. Topics are ordered by importance, and each costs tokens in every line."""
PLAIN_EVENTS = frozenset({"interaction", "rating"})
"""Event words that say nothing beside the rating, so they are left out."""


@dataclass(frozen=True)
class EventsShown:
    """The events that a prompt shows.

    Attributes:
        text: The lines. Each session begins with a line of its day and hour, if times are known.
        events: The events. The number of an event is its position, counted from 1.
    """

    text: str = ""
    events: tuple[Item, ...] = ()


def events_shown(history: Sequence[Item], *, most: int, zone: tzinfo = UTC) -> EventsShown:
    """Return the latest events as numbered lines, the latest last.

    Of an item that occurs several times, only the last event is shown, with the number of all its events.

    Args:
        history: The events in order of time.
        most: Most events that are shown.
        zone: The zone of the days and hours.

    Example:
        >>> print(events_shown([Item(title="Tea", topics="Drinks"), Item(title="Rusk")], most=30).text)
        1. Tea [Drinks]
        2. Rusk
    """
    counts = Counter(item.item_id for item in history)
    last_position = {item.item_id: position for position, item in enumerate(history)}
    positions = sorted(last_position.values())[-most:]
    shown = [history[position] for position in positions]
    words = {getattr(item, "event", "interaction") for item in shown}
    times = [item.time for item in shown]
    sessions = session_numbers(np.array(times, dtype=np.float64)) if times and None not in times else None
    lines = list[str]()
    for number, item in enumerate(shown, 1):
        if sessions is not None and (number == 1 or sessions[number - 1] != sessions[number - 2]):
            lines.append(f"-- {moment_words(item.time, zone=zone)}")
        lines.append(f"{number}. {_line(item, counts[item.item_id], names_event=len(words) > 1)}")
    return EventsShown("\n".join(lines), tuple(shown))


def item_line(item: Item) -> str:
    """Return an item in one line: its title, topics and price.

    Example:
        >>> item_line(Item(title="Green tea", topics="Drinks|Tea", price=3.5))
        'Green tea [Drinks, Tea] price 3.50'
    """
    parts = [item.title[:TITLE_LENGTH]]
    if item.topics:
        parts.append(f"[{', '.join(topic[:TITLE_LENGTH] for topic in item.topics[:SHOWN_TOPICS])}]")
    if item.price is not None:
        parts.append(f"price {item.price:.2f}")
    return " ".join(parts)


def moment_words(time: float | None, situation: Mapping[str, str] | None = None, *, zone: tzinfo = UTC) -> str:
    """Return a moment and a situation for a prompt: `Sat 05 Jul 2014 21:10, place home`. "" if both are unknown."""
    moment = "" if time is None else f"{datetime.fromtimestamp(time, tz=zone):%a %d %b %Y %H:%M}"
    return ", ".join(filter(None, [moment, *(f"{key} {value}" for key, value in (situation or {}).items())]))


def _line(item: Item, count: int, *, names_event: bool) -> str:
    event, rating = getattr(item, "event", "interaction"), getattr(item, "rating", None)
    situation: Mapping[str, str] = getattr(item, "context", None) or {}
    parts = [
        item_line(item),
        f"rated {rating:g}" if rating is not None else "",
        f"({event})" if names_event and event not in PLAIN_EVENTS else "",
        f"x{count}" if count > 1 else "",
        f"({moment_words(None, situation)})" if situation else "",
    ]
    return " ".join(filter(None, parts))
