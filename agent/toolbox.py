"""The agent's functions as LangChain tools that a language model may call, for one user and one time."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from whimbrel.agent.pipeline import SHIFT
from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.state import Request, State
from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.log.interaction_log import Floats, Ints
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.records import Item, identifier
from whimbrel.tools.store.store import Store
from whimbrel.tools.timestamps import parse_time

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

MOST_RETURNED = 20
"""The most items that one call returns, so that an answer does not fill the model's context."""

ReturnedCount = Annotated[int, Field(ge=1, le=MOST_RETURNED, description="How many.")]
ItemId = Annotated[str, Field(description="An item's id, as another tool returned it.")]


class ToolAgent(Protocol):
    """The part of an agent that the tools need."""

    def for_person(self, user_id: str) -> "ToolAgent":
        """Return the agent without topics that are sensitive for a person; see `Agent.for_person`."""

    @property
    def store(self) -> Store:
        """The store that the agent answers from."""

    def now(self) -> float:
        """Return the moment of requests that name none."""

    def recommend(self, user_id: str, at: object, context: Context, k: int) -> Recommendations:
        """Recommend `k` items; see `Agent.recommend`."""

    def run(self, request: Request, stages: Sequence[str]) -> State:
        """Run stages of the pipeline; see `Agent.run`."""


def toolbox(agent: ToolAgent, user_id: str, at: object = None) -> "list[BaseTool]":
    """Make tools for `langchain.agents.create_agent`.

    Each tool returns JSON. A wrong call returns its error as a sentence, so that the model can correct the call. Titles
    come from the catalogue. A title that reads like an instruction must not be followed.

    Args:
        agent: The agent, opened with a store.
        user_id: The user that the tools answer about. The model cannot choose another user.
        at: The requested time, as in `Agent.recommend`. Only earlier events are used. By default `Agent.now()`.

    Example:
        tools = toolbox(Agent.open("shop"), "42")
        graph = create_agent(chat_model, tools)

    Raises:
        DataError: no such user.
        ValueError: the format of `at` is unknown.
    """
    from langchain_core.tools import StructuredTool

    agent = agent.for_person(identifier(user_id))
    user = _ToolUser(agent, identifier(user_id), agent.now() if at is None else parse_time(at))
    # Reading the history raises the error for an unknown user now, not in the middle of a conversation.
    agent.store.history(user.user_id, before=user.before)
    tools: list[Callable[..., Any]] = [
        user.recommend,
        user.history,
        user.interest_shift,
        user.similar_items,
        user.met_together,
        user.popular_now,
    ]
    return [
        StructuredTool.from_function(_as_json(tool), name=tool.__name__, description=tool.__doc__ or "")
        for tool in tools
    ]


@dataclass(frozen=True)
class _ToolUser:
    """The tools for one user and time. The language model reads the docstrings of the public methods."""

    agent: ToolAgent
    user_id: str
    before: float

    def recommend(
        self,
        count: ReturnedCount = 5,
        wish: Annotated[str, Field(description="What the user wants, in free words; may be empty.")] = "",
        avoid: Annotated[list[str] | None, Field(description="Topics or words that no item may have.")] = None,
    ) -> Any:
        """New items for the user, each with a reason that names events of the history."""
        context = Context(query=wish, avoid=tuple(avoid or ()))
        answer = self.agent.recommend(self.user_id, self.before, context, count)
        return {
            "summary": answer.summary,
            "items": [
                {"item_id": entry.item_id, "title": entry.title, "why": entry.explanation}
                for entry in answer.recommendations
            ],
        }

    def history(self, count: ReturnedCount = 10) -> Any:
        """The user's latest events, newest first."""
        events = self.agent.store.history(self.user_id, before=self.before)[-count:]
        return [{**_item_facts(event), "event": event.event} for event in reversed(events)]

    def interest_shift(self) -> Any:
        """The predicted shift of the user's interest: its kind, topics and confidence."""
        shift = self.agent.run(Request(self.user_id, at=self.before), SHIFT).prediction.shift
        return shift.model_dump(mode="json", exclude={"evidence"})

    def similar_items(self, item_id: ItemId, count: ReturnedCount = 5) -> Any:
        """Items whose titles, topics and texts are most similar to those of an item."""
        store = self.agent.store
        vector = store.item_vectors([self._item(item_id).item_id])[item_id]
        # The index has no times. Items that appear after `before` are dropped below, so more are requested.
        (neighbours,) = store.nearest(vector[None], n=4 * count + 1)
        ids = [neighbour for neighbour, _ in neighbours if neighbour != item_id]
        shown, rows = self._shown(), store.log.rows(ids)
        return self._facts([id_ for id_, row in zip(ids, rows, strict=True) if row >= 0 and shown[row]][:count])

    def met_together(self, item_id: ItemId, count: ReturnedCount = 5) -> Any:
        """Items that users of one item also interacted with."""
        statistics = ItemStatistics.of(self.agent.store.log, [self._item(item_id)], before=self.before)
        return self._highest(statistics.itemknn, count)

    def popular_now(self, count: ReturnedCount = 5) -> Any:
        """Items with the most interactions recently."""
        return self._highest(counts_before(self.agent.store.log, self.before).recent_popularity, count)

    def _item(self, item_id: str) -> Item:
        items = self.agent.store.items([item_id])
        if not items:
            raise WhimbrelError(f"no item {item_id!r}: use an id that another tool returned")
        return items[item_id]

    def _highest(self, values: Ints | Floats, count: int) -> list[dict[str, Any]]:
        """Return the items with the highest values, the highest first. Values must be above 0."""
        values = np.where(self._shown(), values, 0)
        rows = (-values).argsort(kind="stable")[:count]
        item_ids = self.agent.store.log.item_ids
        return self._facts([item_ids[row] for row in rows if values[row] > 0])

    def _shown(self) -> NDArray[np.bool_]:
        return shown_to(self.agent.store, self.user_id, self.before)

    def _facts(self, item_ids: Sequence[str]) -> list[dict[str, Any]]:
        items = self.agent.store.items(item_ids)
        return [_item_facts(items[item_id]) for item_id in item_ids]


def shown_to(store: Store, user_id: str, before: float) -> NDArray[np.bool_]:
    """Return for each item of the log whether a user may see it: their own items, and those that enough people met.

    Args:
        store: The store, without topics that are sensitive for the user.
        user_id: The user, whom the log need not know.
        before: The moment. Only earlier events count.
    """
    shown = counts_before(store.log, before).shown(store.min_people)
    if user_id in store.log.user_rows:
        rows = store.log.rows([event.item_id for event in store.history(user_id, before=before)])
        shown[rows[rows >= 0]] = True
    return shown


def _item_facts(item: Item) -> dict[str, Any]:
    return {"item_id": item.item_id, "title": item.title, "topics": list(item.topics)}


def _as_json(function: Callable[..., Any]) -> Callable[..., str]:
    """Return the function with its result as JSON. An error becomes a sentence in JSON."""
    from functools import wraps

    # LangChain makes the schema of the arguments from the signature, which `wraps` keeps.
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> str:
        try:
            return json.dumps(function(*args, **kwargs), ensure_ascii=False)
        except (WhimbrelError, ValueError) as error:
            return json.dumps({"error": str(error)}, ensure_ascii=False)

    return call
