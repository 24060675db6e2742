"""What of a catalogue one person may name through a server, and what an error may name."""

from whimbrel.agent.agent import Agent
from whimbrel.agent.toolbox import shown_to
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Item


def visible_item(agent: Agent, user_id: str, item_id: str) -> Item:
    """Return an item that a person may see (see `shown_to`).

    Raises:
        DataError: there is no such item, or the person may not see it. Both are told alike.
    """
    view = agent.for_person(user_id)
    store, before = view.store, view.now()
    items = store.items([item_id], before=before)
    (row,) = store.log.rows([item_id])
    if item_id not in items or row < 0 or not shown_to(store, user_id, before)[row]:
        raise DataError(f"no item {item_id!r}")
    return items[item_id]


def without_paths(message: str, agent: Agent) -> str:
    """Return a message for somebody who is not the operator, without the place of the store."""
    for place in (str(agent.store.location), str(agent.store.folder)):
        message = message.replace(f"store {place!r}", "this store").replace(place, "this store")
    return message
