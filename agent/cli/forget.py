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
    """Remove all events of a person from a store.

    Reading their source again with `whimbrel ingest` brings them back. Rows that `ingest` rejected stay in the store's
    folder `rejects`.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.store import open_store

    if not yes and not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: add --yes to remove the events for good")
    with open_store(store) as opened:
        if not yes:
            typer.confirm(f"Remove {_events(len(opened.history(user)))} of {user!r}?", abort=True)
        count = opened.forget(user)
    if json:
        print_json({"user_id": user, "events": count})
    else:
        print(f"Removed {_events(count)} of {user!r}.")


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"
