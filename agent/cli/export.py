"""The command `whimbrel export`: print everything that a store keeps of one person."""

from typing import Any

from whimbrel.agent.cli.options import JsonOption, StoreOption, UserArgument, example, print_json


@example("whimbrel export 42 --store shop --json")
def export(user: UserArgument, store: StoreOption, json: JsonOption = False) -> None:
    """Print everything that a store keeps of a person.

    These are the events that were read from a source, the feedback that was
    recorded since, what saved conversations remember, the lists in the audit
    log, and topics that the person marked as sensitive.
    """
    from whimbrel.agent.schema.results import CitedEvent
    from whimbrel.tools.store.audit_log import read_audit
    from whimbrel.tools.store.store import open_store

    with open_store(store) as opened:
        history, recorded = opened.history(user), opened.recorded(user)
        memory = opened.conversations(user)
        shown = read_audit(opened.folder, user)
        sensitive = opened.settings.sensitive(user)
    events, feedback = list[dict[str, Any]](), list[dict[str, Any]]()
    for event in history:
        more = {"rating": event.rating, "context": dict(event.context)}
        document = CitedEvent.of(event).model_dump(mode="json") | {k: value for k, value in more.items() if value}
        (feedback if (event.time, event.item_id, event.event) in recorded else events).append(document)
    if json:
        document = {"user_id": user, "events": events, "feedback": feedback, "memory": memory, "shown": shown}
        print_json(document | {"sensitive": sensitive})
        return
    for document in sorted([*events, *feedback], key=lambda document: str(document["time"])):
        rating = f" {document['rating']:g}" if "rating" in document else ""
        print(f"{document['time'][:16].replace('T', ' ')}  {document['event']}{rating}  {document['title']}")
    print(
        f"{len(events):,} read, {len(feedback):,} recorded, {len(memory):,} saved conversations, {len(shown):,} lists "
        f"in the audit log. --json prints all."
    )
