"""`whimbrel forget`: remove a person's events from a store."""

import sys
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, UserArgument, example, print_json


@example("whimbrel forget 42 --store shop")
def forget(
    user: UserArgument,
    store: StoreOption,
    yes: Annotated[bool, typer.Option("--yes", help="Remove the events without asking.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove a person from a store, with everything that only they met.

    What they did is removed from the store's files, from what was learned, and
    from the caches of this machine. Items of a catalogue stay. Reading their
    source again with `whimbrel ingest` brings them back.
    """
    from whimbrel.agent.forgetting import forget_person
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.store import open_store

    if not yes and not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: add --yes to remove the events for good")
    with open_store(store) as opened:
        if not yes:
            typer.confirm(f"Remove {_events(len(opened.history(user)))} of {user!r}?", abort=True)
        receipt = forget_person(opened, user)
    if json:
        print_json(receipt.model_dump())
        return
    also = ", ".join(f"{count:,} in {place}" for place, count in receipt.removed.items() if count)
    print(f"Removed {_events(receipt.events)} of {user!r}{f', and {also}' if also else ''}.")
    if store.startswith(("http://", "https://")):
        print("The files of the server keep the bytes. To remove them, stop it and run `whimbrel purge FOLDER` there.")


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"
