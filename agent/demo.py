"""The demonstration: recommend to a real household at one moment, and compare the list with its next purchases."""

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
from whimbrel.tools.timestamps import DAY_SECONDS, parse_time

ONE_IN = 12
"""The sample has every 12th household: 206 of 2,469, each with its whole year."""
SINCE = parse_time("2017-10-01")
"""The moment shown is a household's first basket on or after this day. Nine months of the year are known by then."""
LEAST_EVENTS = 200
"""A household is chosen by default only if it has at least this many events before the moment."""
NEXT_DAYS = 14
"""The list is compared with the purchases of this many days from the moment on."""


class Next(BaseModel):
    """What was really bought next.

    Attributes:
        days: The length of the time compared.
        bought: Titles of what was bought in these days, each once, in order.
        hits: How many recommended items were bought.
        topic_hits: Of how many recommended items something with a common topic was bought.
        of: How many items were recommended.
    """

    days: int
    bought: list[str]
    hits: int
    topic_hits: int
    of: int


@dataclass(frozen=True)
class Demonstration:
    """Recommendations at a moment of the past, and what was bought next."""

    recommendations: Recommendations
    next: Next


def demo_folder() -> Path:
    """Return the folder in which the sample's store is kept between runs."""
    return cache_folder() / f"demo-{FORMAT}"


def open_demo(llm: str, progress: Progress, tell: Callable[[str], None]) -> Agent:
    """Open an agent over the sample. The first call reads the sample into a store and takes a minute or two.

    Args:
        llm: A model spec.
        progress: Shows the progress of reading the sample.
        tell: Called with a description of each slow step of opening the model.

    Raises:
        ConfigError: The spec names no model.
        ModelError: The model cannot be opened.
    """
    try:
        return Agent.open(demo_folder(), llm, tell=tell)
    except StoreError:
        # There is no store of this format yet, so the sample is ingested first.
        source = read_completejourney(households=household_ids()[::ONE_IN])
        ingest(source, demo_folder(), command="completejourney", progress=progress)
        return Agent.open(demo_folder(), llm, tell=tell)


def demonstrate(
    agent: Agent, user_id: str | None, *, k: int = 5, on_step: Callable[[str], None] | None = None
) -> Demonstration:
    """Recommend to a household at its first basket from October on.

    Args:
        agent: An agent over the sample.
        user_id: The household. None chooses the household with the surest shift of interest.
        k: The length of the list.
        on_step: Called with the name of each pipeline step when it ends.

    Raises:
        DataError: The sample has no such household, or it bought nothing from October on.
    """
    user_id = user_id or _household_that_moves(agent.store)
    later = [event for event in agent.store.history(user_id) if event.time >= SINCE]
    if not later:
        raise DataError(
            f"household {user_id!r} bought nothing from October 2017 on: try `whimbrel demo` without --user"
        )
    at = later[0].time  # only earlier events are known: this basket itself is among the next purchases
    recommendations = agent.recommend(user_id, at, k=k, on_step=on_step)
    following = [event for event in later if event.time < at + NEXT_DAYS * DAY_SECONDS]
    return Demonstration(recommendations, _next(agent.store, recommendations, following))


def _next(store: Store, answer: Recommendations, following: list[Interaction]) -> Next:
    listed = answer.recommendations
    ids = {event.item_id for event in following}
    topics = {topic for event in following for topic in event.topics}
    items = store.items([entry.item_id for entry in listed])
    return Next(
        days=NEXT_DAYS,
        bought=list(dict.fromkeys(event.title for event in following)),
        hits=sum(entry.item_id in ids for entry in listed),
        topic_hits=sum(bool(topics & set(items[entry.item_id].topics)) for entry in listed),
        of=len(listed),
    )


def _household_that_moves(store: Store) -> str:
    """Return the household with the surest shift at its moment.

    Shifts are predicted without a language model, from the events before the moment. The answer is kept in the
    store's folder, so that later runs do not repeat the predictions.
    """
    kept = store.folder / "moving.json"
    try:
        return str(json.loads(kept.read_text())["user_id"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # The file is absent or damaged, so the household is chosen again.
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
            # On equal confidence the longer history wins, then the greater id, so that the choice never varies.
            surest = max(surest or (0.0, 0, ""), (shift.confidence, len(known), user_id))
    if surest is None:
        raise DataError("no household of the sample has a shift of interest: name one with --user")
    kept.write_text(json.dumps({"user_id": surest[2]}))
    return surest[2]
