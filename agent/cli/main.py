"""The command line: it collects the commands and runs one. An error that a person can act on is printed as one line.

A package adds commands through an entry point of the group `whimbrel.commands`. The entry point is a function that
takes the Typer app. `whimbrel.evals` has such a function too. It is named here as a text, so that this package does
not depend on `whimbrel.evals`.
"""

import errno
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli import models
from whimbrel.agent.cli.audit import audit
from whimbrel.agent.cli.chat import chat
from whimbrel.agent.cli.check import check
from whimbrel.agent.cli.demo import demo
from whimbrel.agent.cli.export import export
from whimbrel.agent.cli.fit import fit
from whimbrel.agent.cli.forget import forget
from whimbrel.agent.cli.ingest import ingest
from whimbrel.agent.cli.mcp import mcp
from whimbrel.agent.cli.options import add_command
from whimbrel.agent.cli.purge import purge
from whimbrel.agent.cli.recommend import recommend
from whimbrel.agent.cli.reencode import reencode
from whimbrel.agent.cli.sensitive import sensitive
from whimbrel.agent.cli.serve import serve
from whimbrel.agent.cli.shift import shift
from whimbrel.tools.tracing import LOCAL_ONLY

COMMAND_GROUP = "whimbrel.commands"
"""The group of entry points that add commands."""
EVALS_COMMANDS = "whimbrel.evals.cli"
"""The module whose function `register` adds the evaluation commands."""

COMPLETE = "_WHIMBREL_COMPLETE"
"""The environment variable by which a shell asks for completions."""


def build_app(group: str | None = None) -> typer.Typer:
    """Build the command `whimbrel`.

    Args:
        group: The first word of the command line. All other groups stay empty, to save time. None builds all groups.

    Returns:
        A Typer app. Calling it runs the command that `sys.argv` names.
    """
    app = typer.Typer(
        name="whimbrel",
        help="A recommender agent that follows a person's interest as it moves.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help, because rich would double the time to the first output
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    of_lists = (ingest, recommend, shift, chat, demo, fit, serve, mcp)
    for command in (*of_lists, export, forget, sensitive, audit, purge, check, reencode):
        add_command(app, command)
    app.add_typer(models.build_app(), name="models")
    import_module(EVALS_COMMANDS).register(app, group)
    if _packages_add_commands():
        from importlib.metadata import entry_points

        for entry_point in entry_points(group=COMMAND_GROUP):
            try:
                entry_point.load()(app)
            # Every exception is caught: a broken package must not disable the other commands.
            except Exception as error:
                _print_error(f"the commands of {entry_point.value!r} are left out ({type(error).__name__}: {error})")
    return app


def _packages_add_commands() -> bool:
    """Return whether an installed package has entry points of COMMAND_GROUP.

    Importing importlib.metadata takes 30 ms, a third of the time of `whimbrel --help`. This check takes 3 ms.
    """
    files = (file for folder in sys.path for file in Path(folder).glob("*.dist-info/entry_points.txt"))
    return any(_holds(file, f"[{COMMAND_GROUP}]".encode()) for file in files)


def _holds(file: Path, section: bytes) -> bool:
    try:
        return section in file.read_bytes()
    except OSError:  # importlib.metadata ignores an unreadable file too
        return False


def main() -> None:
    """Run the command line."""
    if "--local-only" in sys.argv[1:]:  # it holds for every command, so it may stand anywhere
        os.environ[LOCAL_ONLY] = "1"  # worker processes inherit it
        sys.argv = [sys.argv[0], *(word for word in sys.argv[1:] if word != "--local-only")]
    # A shell that completes a command line gives it in the environment, so it may be about any group.
    run(build_app(None if COMPLETE in os.environ else next(iter(sys.argv[1:]), "")))


def run(app: typer.Typer) -> None:
    """Run an app. An error that a person can act on becomes one line on stderr and exit status 1."""
    from whimbrel.tools.errors import WhimbrelError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # characters that a terminal cannot show are escaped
    try:
        app()
    except (WhimbrelError, OSError) as error:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        _print_error(f"the disk is full ({error}): make some room, then run it again" if is_full else str(error))
        sys.exit(1)
    except MemoryError as error:
        print(f"whimbrel: not enough memory ({error}): ask for less, or use a larger machine", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("whimbrel: interrupted", file=sys.stderr)
        sys.exit(130)


def _print_error(message: str) -> None:
    """Print a message as one line on stderr."""
    line = "".join(c if c.isprintable() else " " for c in message)
    print(f"whimbrel: {' '.join(line.split())}", file=sys.stderr)


def _print_version(asked: bool) -> None:
    if asked:
        from whimbrel import __version__

        print(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    local_only: Annotated[
        bool,
        typer.Option(
            "--local-only",
            help="Refuse hosted models and traces, so that nothing of a person leaves this machine. May also stand "
            "after the command.",
        ),
    ] = False,
) -> None:
    """Options that stand before the command."""


if __name__ == "__main__":
    main()
