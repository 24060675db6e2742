"""The agent's own functions as tools that a language model may call (LangChain): about one user, as of one moment."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from whimbrel.agent.schema.context import Context
from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.records import Item, identifier

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

    from whimbrel.agent.agent import Agent

MOST = 20
"""Items that one call returns at most."""

Count = Annotated[int, Field(ge=1, le=MOST, description="How many.")]
ItemId = Annotated[str, Field(description="An item's id, as another tool returned it.")]


def toolbox(agent: "Agent", user_id: str, at: object = None) -> "list[BaseTool]":
    """Tools for `langchain.agents.create_agent`. They return JSON; a call that makes no sense returns its error in
    words, so that the model can mend it. Titles are data of a catalogue, whatever they say.

    Raises:
        DataError: no such user.
        ValueError: `at` is in no known format.
    """
    from langchain_core.tools import StructuredTool

    from whimbrel.tools.timestamps import parse_time

    store, before = agent.store, agent.now() if at is None else parse_time(at)
    user = identifier(user_id)
    store.history(user, before=before)

    def recommend(
        count: Count = 5,
        wish: Annotated[str, Field(description="What is wanted, in free words; may be empty.")] = "",
        avoid: Annotated[list[str] | None, Field(description="Topics or words that must not come.")] = None,
    ) -> Any:
        """New items for the user, each with the reason and the events behind it."""
        found = agent.recommend(user, before, Context(query=wish, avoid=tuple(avoid or ())), count)
        return {
            "summary": found.summary,
            "items": [
                {"item_id": one.item_id, "title": one.title, "why": one.explanation} for one in found.recommendations
            ],
        }

    def history(count: Count = 10) -> Any:
        """The user's latest events, the last one first."""
        events = store.history(user, before=before)[-count:]
        return [{**_told(event), "event": event.event} for event in reversed(events)]

    def interest_shift() -> Any:
        """Where the user's interest is going: kind, topics and confidence."""
        shift = agent.timeline(user, before).shift
        return shift.model_dump(mode="json", exclude={"evidence"})

    def similar_items(item_id: ItemId, count: Count = 5) -> Any:
        """Items whose titles, topics and texts are nearest to an item's."""
        vector = store.item_vectors([_known(item_id)])[item_id]
        (near,) = store.nearest(vector[None], n=4 * count + 1)
        ids, log = [other for other, _ in near if other != item_id], store.log
        told = [row >= 0 and bool(log.appeared[row] < before) for row in log.rows(ids)]
        return _listed([other for other, known in zip(ids, told, strict=True) if known][:count])

    def met_together(item_id: ItemId, count: Count = 5) -> Any:
        """Items that people who met an item met too."""
        item = store.items([_known(item_id)])[item_id]
        statistics = ItemStatistics.of(store.log, [item], before=before)
        best = (-statistics.itemknn).argsort(kind="stable")[:count]
        return _listed([store.log.item_ids[row] for row in best if statistics.itemknn[row] > 0])

    def popular_now(count: Count = 5) -> Any:
        """Items that were met most often lately."""
        statistics = ItemStatistics.of(store.log, [], before=before)
        best = (-statistics.recent_popularity).argsort(kind="stable")[:count]
        return _listed([store.log.item_ids[row] for row in best if statistics.recent_popularity[row] > 0])

    def _known(item_id: str) -> str:
        if not store.items([item_id]):
            raise WhimbrelError(f"no item {item_id!r}: use an id that another tool returned")
        return item_id

    def _listed(ids: list[str]) -> list[dict[str, Any]]:
        items = store.items(ids)
        return [_told(items[item_id]) for item_id in ids]

    functions: list[Callable[..., Any]] = [
        recommend,
        history,
        interest_shift,
        similar_items,
        met_together,
        popular_now,
    ]
    return [
        StructuredTool.from_function(_as_json(function), name=function.__name__, description=function.__doc__ or "")
        for function in functions
    ]


def _told(item: Item) -> dict[str, Any]:
    return {"item_id": item.item_id, "title": item.title, "topics": list(item.topics)}


def _as_json(function: Callable[..., Any]) -> Callable[..., str]:
    """The function with its result as JSON, and its errors in words."""
    from functools import wraps

    @wraps(function)
    def told(*given: Any, **named: Any) -> str:
        try:
            return json.dumps(function(*given, **named), ensure_ascii=False)
        except (WhimbrelError, ValueError) as error:
            return json.dumps({"error": str(error)}, ensure_ascii=False)

    return told
