"""What of a catalogue one person may be shown, or may name, through a server."""

from whimbrel.agent.agent import Agent
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.moment_counts import counts_before
from whimbrel.tools.records import Item


def is_visible(agent: Agent, user_id: str, item_id: str) -> bool:
    """Return whether a person may see an item: one that enough people met, or one of their own.

    Args:
        agent: The agent without topics that are sensitive for the person (see `Agent.for_person`).
        user_id: The person, who may be unknown.
        item_id: The item.
    """
    store = agent.store
    (row,) = store.log.rows([item_id])
    if row < 0:
        return False
    if counts_before(store.log, agent.now()).shown(store.min_people)[row]:
        return True
    is_known = user_id in store.log.user_rows
    return is_known and any(event.item_id == item_id for event in store.history(user_id))


def visible_item(agent: Agent, user_id: str, item_id: str) -> Item:
    """Return an item that a person may see.

    Raises:
        DataError: there is no such item, or the person may not see it. Both are told alike.
    """
    view = agent.for_person(user_id)
    items = view.store.items([item_id], before=view.now())
    if item_id not in items or not is_visible(view, user_id, item_id):
        raise DataError(f"no item {item_id!r}")
    return items[item_id]


def without_paths(message: str, agent: Agent) -> str:
    """Return a message for somebody who is not the operator, without the place of the store."""
    for place in (str(agent.store.location), str(agent.store.folder)):
        message = message.replace(f"store {place!r}", "this store").replace(place, "this store")
    return message
