"""`whimbrel forget`: remove a person's events from a store."""

import sys
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, UserArgument, example, print_json


@example("whimbrel forget 42 --store shop")
def forget(
    user: UserArgument,
    store: StoreOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove a person's events from a store.

    Ingesting their source again brings them back; rejected rows in the store's folder `rejects` stay.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.store import open_store

    if not yes and not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: say --yes to remove the events for good")
    with open_store(store) as opened:
        if not yes:
            typer.confirm(f"Remove {len(opened.history(user)):,} events of {user!r}?", abort=True)
        count = opened.forget(user)
    if json:
        print_json({"user_id": user, "events": count})
    else:
        print(f"Removed {count:,} events of {user!r}.")
