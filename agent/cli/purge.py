"""`whimbrel purge`: remove from the files of a Chroma server what was deleted from its stores."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example("whimbrel purge /var/lib/chroma")
def purge(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of `chroma run --path`.")],
    yes: Annotated[bool, typer.Option("--yes", help="The server is stopped, so do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove from the files of a stopped Chroma server what was deleted from its stores.

    A server keeps the bytes of deleted records in its files. Run this on its machine after `whimbrel forget`, while the
    server is stopped. A store in a folder is purged by `whimbrel forget` itself.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.chroma import purge_server

    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody can be asked here: stop the server and add --yes")
        typer.confirm(f"Is the server of {str(folder)!r} stopped?", abort=True)
    stores = purge_server(folder)
    if json:
        print_json({"folder": str(folder), "stores": stores})
    else:
        print(f"Purged {stores:,} store{'' if stores == 1 else 's'}. The server can be started again.")
