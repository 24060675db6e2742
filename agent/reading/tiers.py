"""Measure what a model is capable of, by a few questions whose answers are known.

The name of a model says little: servers rename models, and new ones appear. So the model is asked. Three lists have one
obvious next item each. It stands late in the list, so a model that repeats the list fails. One made-up person has moved
from one interest to another. A model that reads must see it and cite the right events.

A capable model needs four short replies. The measurement ends at the first ability that is missing.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.language_models.graded_order import OrderQuestion, order_options
from whimbrel.agent.language_models.protocol import NO_USAGE, TIERS, LanguageModel, Tier, Usage
from whimbrel.agent.language_models.reply_cache import CachingModel
from whimbrel.agent.reading.read_person import ReadQuery, read_person
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.timestamps import DAY_SECONDS

CONTEXT_FOR_READING = 3000
"""A context of fewer tokens does not hold a person's events and the reply."""


@dataclass(frozen=True)
class KnownList:
    """A history, options, and the option that obviously comes next."""

    history: tuple[str, ...]
    options: tuple[str, ...]
    next: str

    @classmethod
    def of(cls, history: str, options: str, next: str) -> "KnownList":
        """Return a list from texts with semicolons between the titles."""
        return cls(tuple(history.split("; ")), tuple(options.split("; ")), next)


KNOWN_LISTS = (
    KnownList.of(
        "Garden trowel; Tomato seeds; Potting soil, 20 l; Watering can",
        "Car wax; Phone case; Ballet shoes; Printer ink; Guitar strings; Chess set; Plant pots, clay; Ski goggles",
        "Plant pots, clay",
    ),
    KnownList.of(
        "The Silver Crown, Book 1; The Silver Crown, Book 2; The Silver Crown, Book 3",
        "A History of Bridges; Slow Cooker Suppers; Learn Spanish in 30 Days; The Tax Handbook; Birds of the Coast; "
        "Knitting for Two; Deep Sea Atlas; The Silver Crown, Book 4",
        "The Silver Crown, Book 4",
    ),
    KnownList.of(
        "Nappies, size 1; Baby wipes; Bottle warmer; Dummy, 0-6 months",
        "Barbecue tongs; Fishing rod; Wall calendar; Poker chips; Bicycle pump; Baby bottle, 250 ml; Desk lamp; Gel",
        "Baby bottle, 250 ml",
    ),
)
LEAST_RIGHT = 3
"""A model orders if it puts the obvious option first in this many of the known lists.

A model that orders at random does so once in 512 times. A model that repeats the list never does.
"""
_DAY = 1_700_000_000.0
_BEFORE = ("Night Train Murders", "The Silent Witness", "A Cold Case in Bergen", "The Inspector's Last Bow")
_SINCE = ("First Year With a Baby", "Sleep, Little One", "Weaning Step by Step", "The Pushchair Guide")
TOPIC_BEFORE, TOPIC_SINCE = "Crime", "Parenting"
PERSON: tuple[Interaction, ...] = tuple(
    Interaction(
        user_id="u",
        item_id=f"i{number}",
        title=title,
        topics=(TOPIC_BEFORE if title in _BEFORE else TOPIC_SINCE,),
        time=_DAY + 2 * DAY_SECONDS * number,
        event="purchase",
    )
    for number, title in enumerate((*_BEFORE, *_SINCE))
)
"""A made-up person who moved from crime novels to books for parents."""


@dataclass(frozen=True)
class Ability:
    """The result of the measurement.

    Attributes:
        tier: What the model is capable of.
        right: In how many of the known lists the obvious option comes first.
        reads: Whether the made-up person was read correctly; None if that was not asked.
        usage: What the replies cost.
    """

    tier: Tier
    right: int
    reads: bool | None = None
    usage: Usage = NO_USAGE


def measure_ability(llm: LanguageModel) -> Ability:
    """Ask a model the known questions.

    Raises:
        ModelError: The model cannot be reached.
    """
    right, usage = 0, NO_USAGE
    for number, known in enumerate(KNOWN_LISTS):
        order = order_options(llm, OrderQuestion("\n".join(known.history)), known.options, directions=1)
        usage += order.usage
        values = order.figures.get("order", np.zeros(len(known.options)))
        is_first = values[known.options.index(known.next)] == values.max() > values.min()
        right += int(is_first)
        if right + len(KNOWN_LISTS) - 1 - number < LEAST_RIGHT:
            return Ability("fills", right, None, usage)
    if llm.context_tokens < CONTEXT_FOR_READING:
        return Ability("orders", right, None, usage)
    reading = read_person(ReadQuery(PERSON, at=PERSON[-1].time), ModelAccess(llm))
    reads = _is_right(reading.phrases, [interest.events for interest in reading.interests[:1]])
    return Ability("reads" if reads else "orders", right, reads, usage + reading.usage)


def tier_of(llm: LanguageModel | None) -> Tier:
    """Return what a model is capable of. A model of your own may say so itself, by an attribute `tier`.

    The replies of a local model are cached on disk, so it is measured once. Those of a hosted model are cached as all
    its replies are. A model that cannot be reached counts as the lowest tier. The request then says why.
    """
    if llm is None:
        return "fills"
    stated = getattr(llm, "tier", None)
    if stated in TIERS:
        return cast("Tier", stated)
    return measure_ability(remembered(llm)).tier


def remembered(llm: LanguageModel) -> LanguageModel:
    """Return a local model with a cache of its replies on disk, for questions that measure it; others unchanged."""
    # A local model has imported its module already. Importing it here would cost the others time.
    local = getattr(sys.modules.get("whimbrel.agent.language_models.local.model"), "LocalModel", ())
    return CachingModel(llm) if isinstance(llm, local) else llm


def _is_right(phrases: Sequence[str], cited: Sequence[Sequence[Item]]) -> bool:
    """Return whether the first interest cites only events since the move, and there are phrases to search for."""
    events = [event for events in cited for event in events]
    return bool(phrases and events) and all(TOPIC_SINCE in event.topics for event in events)
