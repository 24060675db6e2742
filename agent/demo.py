"""The whole job on real baskets: households of the Complete Journey, one whose interest moves, and what came next."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from whimbrel.agent.agent import Agent
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Interaction
from whimbrel.tools.sources.completejourney import household_ids, read_completejourney
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import FORMAT, Store
from whimbrel.tools.timestamps import parse_time

EVERY = 12
"""Every twelfth household is in the sample: 206 of 2,469, with their whole year."""
SINCE = parse_time("2017-10-01")
"""The demonstration stands at a household's first basket from this day on."""
LEAST_EVENTS = 200
NEXT_DAYS = 14


class Next(BaseModel):
    """What really came: the purchases of the next `days`, and how many of the list were among them.

    `hits` counts recommended items that were bought, `topic_hits` those of which a topic was bought.
    """

    days: int
    bought: list[str]
    hits: int
    topic_hits: int
    of: int


@dataclass(frozen=True)
class Demonstration:
    """The recommendations at a moment of the past, and what followed."""

    recommendations: Recommendations
    next: Next


def demo_folder() -> Path:
    """Where the sample's store is kept between runs."""
    return cache_folder() / f"demo-{FORMAT}"


def open_demo(llm: str, progress: Progress, tell: Callable[[str], None]) -> Agent:
    """An agent over the sample, which is ingested first unless that was done and finished before. `tell` hears what
    takes long of opening the model.

    Raises: as `Agent.open`.
    """
    try:
        return Agent.open(demo_folder(), llm, tell=tell)
    except StoreError:
        source = read_completejourney(households=household_ids()[::EVERY])
        ingest(source, demo_folder(), command="completejourney", progress=progress)
        return Agent.open(demo_folder(), llm, tell=tell)


def demonstrate(agent: Agent, user_id: str | None, *, k: int = 5, on_step: object = None) -> Demonstration:
    """Recommend for a household at its first basket from October on; by default the one whose interest moves most.

    Raises:
        DataError: no such household in the sample, or it bought nothing from October on.
    """
    user_id = user_id or _moving(agent.store)
    later = [event for event in agent.store.history(user_id) if event.time >= SINCE]
    if not later:
        raise DataError(
            f"household {user_id!r} bought nothing from October 2017 on: try `whimbrel demo` without --user"
        )
    at = later[0].time
    found = agent.recommend(user_id, at, k=k, on_step=on_step if callable(on_step) else None)
    following = [event for event in later if event.time < at + NEXT_DAYS * 24 * 3600]
    return Demonstration(found, _next(agent.store, found, following))


def _next(store: Store, found: Recommendations, following: list[Interaction]) -> Next:
    ids = {event.item_id for event in following}
    topics = {topic for event in following for topic in event.topics}
    items = store.items([entry.item_id for entry in found.recommendations])
    return Next(
        days=NEXT_DAYS,
        bought=list(dict.fromkeys(event.title for event in following)),
        hits=sum(entry.item_id in ids for entry in found.recommendations),
        topic_hits=sum(bool(topics & set(items[entry.item_id].topics)) for entry in found.recommendations),
        of=len(found.recommendations),
    )


def _moving(store: Store) -> str:
    """The household with the surest shift at its moment, chosen from what was known then, without a model."""
    noted = store.folder / "moving.json"
    try:
        return str(json.loads(noted.read_text())["user_id"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    surest: tuple[float, int, str] | None = None
    for user_id in store.log.user_ids:
        history = store.history(user_id)
        at = next((event.time for event in history if event.time >= SINCE), None)
        known = [event for event in history if at is not None and event.time < at]
        if at is None or len(known) < LEAST_EVENTS:
            continue
        habits = store.habits(before=at)
        shift = predict_shift(known, ShiftQuery(at=at, habits=habits)).shift
        if shift.kind != "none":
            surest = max(surest or (0.0, 0, ""), (shift.confidence, len(known), user_id))
    if surest is None:
        raise DataError("no household of the sample shifts; name one with --user")
    noted.write_text(json.dumps({"user_id": surest[2]}))
    return surest[2]
