"""Everything that a store keeps of a person, as one document."""

from typing import Any

from whimbrel.agent.schema.results import CitedEvent
from whimbrel.tools.store.audit_log import read_audit
from whimbrel.tools.store.store import Store


def export_person(store: Store, user_id: str) -> dict[str, Any]:
    """Return the events, feedback, saved conversations, shown lists and sensitive topics of a person as JSON values.

    Raises:
        DataError: no such user.
    """
    history = store.export_history(user_id)
    recorded = store.recorded(user_id) if history else set()
    events, feedback = list[dict[str, Any]](), list[dict[str, Any]]()
    for event in history:
        more = {"rating": event.rating, "context": dict(event.context)}
        document = CitedEvent.of(event).model_dump(mode="json") | {k: value for k, value in more.items() if value}
        (feedback if (event.time, event.item_id, event.event) in recorded else events).append(document)
    return {
        "user_id": user_id,
        "events": events,
        "feedback": feedback,
        "memory": store.conversations(user_id),
        "shown": read_audit(store.folder, user_id),
        "sensitive": store.settings.sensitive(user_id),
    }
