"""A small log of people, and a person whose reasons are written from it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from whimbrel.agent import Interaction, Item
from whimbrel.agent.explanation.cite import CAUSES
from whimbrel.agent.explanation.facts import Background
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import Shift
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.retrieval.candidates import Candidate

NO_SHIFT = Shift(kind="none", reason="")
DAY = 86_400.0
NOW = 1_588_334_400.0
"""Friday, 1 May 2020, 12:00 UTC."""


def event(
    title: str, *, topics: Sequence[str] = (), days: float = 100, kind: str = "purchase", **more: object
) -> Interaction:
    """An event of the person `days` before NOW."""
    row = {"user_id": "u", "item_id": f"i {title}", "title": title, "topics": list(topics), "event": kind, **more}
    return Interaction.model_validate({**row, "time": NOW - days * DAY})


def item(title: str, *, topics: Sequence[str] = (), **more: object) -> Item:
    return Item.model_validate({"item_id": f"i {title}", "title": title, "topics": list(topics), **more})


def background(
    history: Sequence[Interaction],
    *items: Item,
    together: Mapping[tuple[str, ...], int] | None = None,
    days: float = 500,
    shift: Shift = NO_SHIFT,
    before: float = NOW,
    cosines: Mapping[str, float] | None = None,
) -> Background:
    """The person and the log.

    Args:
        history: The person's events.
        items: Other items of the catalogue.
        together: How many other people chose all of these titles.
        days: How many days before NOW they did.
        shift: The predicted shift.
        before: The moment.
        cosines: The cosine of the text of an event's title with that of every item.
    """
    catalogue = {thing.item_id: thing for thing in items} | {
        met.item_id: item(met.title, topics=met.topics) for met in history
    }
    rows = [(met.time, met.user_id, met.item_id, None) for met in history]
    for number, (titles, count) in enumerate((together or {}).items()):
        rows += [(NOW - days * DAY, f"p{number} {n}", f"i {title}", None) for n in range(count) for title in titles]
    vectors = {
        met.item_id: np.array([cosine, (1 - cosine**2) ** 0.5], dtype=np.float32)
        for met in history
        for cosine in [(cosines or {}).get(met.title, 0.0)]
    }
    return Background(history, vectors, shift, InteractionLog.build(catalogue.values(), rows), before)


def ranked(thing: Item, known: Background, *causes: str) -> Ranked:
    """The item as the strongest of these causes rank it. Its text has a vector of its own."""
    signals = {CAUSES[cause][0]: 1.0 - 0.1 * number for number, cause in enumerate(causes)}
    met = {seed: 0.5 for seed in known.latest if known.people.of(seed, thing.item_id)}
    vector = np.array([1, 0], dtype=np.float32)
    return Ranked(Candidate(thing, vector, seed_cosines=met), 1.0, signals)


@pytest.fixture
def scene() -> SimpleNamespace:
    """What builds a person, a log of other people and ranked items."""
    return SimpleNamespace(event=event, item=item, background=background, ranked=ranked, now=NOW, day=DAY)
