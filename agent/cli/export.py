"""The command `whimbrel export`: print everything that a store keeps of one person."""

from whimbrel.agent.cli.options import JsonOption, StoreOption, UserArgument, example, print_json


@example("whimbrel export 42 --store shop --json")
def export(user: UserArgument, store: StoreOption, json: JsonOption = False) -> None:
    """Print everything that a store keeps of a person.

    These are the events that were read from a source, the feedback that was
    recorded since, what saved conversations remember, the lists in the audit
    log, and topics that the person marked as sensitive.
    """
    from whimbrel.agent.person_export import export_person
    from whimbrel.tools.store.store import open_store

    with open_store(store) as opened:
        document = export_person(opened, user)
    if json:
        print_json(document)
        return
    for event in sorted([*document["events"], *document["feedback"]], key=lambda event: str(event["time"])):
        rating = f" {event['rating']:g}" if "rating" in event else ""
        print(f"{event['time'][:16].replace('T', ' ')}  {event['event']}{rating}  {event['title']}")
    counts = {name: len(document[name]) for name in ("events", "feedback", "memory", "shown")}
    print(
        f"{counts['events']:,} read, {counts['feedback']:,} recorded, {counts['memory']:,} saved conversations, "
        f"{counts['shown']:,} lists in the audit log. --json prints all."
    )
