"""The command line: it collects the commands, runs one, and writes an error that a person can act on as one line.

A package adds commands through an entry point of the group `whimbrel.commands`: a function that takes the Typer app.
The commands of `whimbrel.evals` are added that way too, so that this package does not import that one.
"""

import io
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from whimbrel.agent.cli import models
from whimbrel.agent.cli.chat import chat
from whimbrel.agent.cli.demo import demo
from whimbrel.agent.cli.fit import fit
from whimbrel.agent.cli.forget import forget
from whimbrel.agent.cli.ingest import ingest
from whimbrel.agent.cli.options import add_command
from whimbrel.agent.cli.recommend import recommend
from whimbrel.agent.cli.shift import shift

COMMAND_GROUP = "whimbrel.commands"
"""The group of entry points that add commands."""


def build_app() -> typer.Typer:
    """Build the command `whimbrel` with all its commands.

    Returns:
        A Typer app; running it runs the command that `sys.argv` names.
    """
    app = typer.Typer(
        name="whimbrel",
        help="A recommender agent that follows a person's interest as it moves.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: rich would double the time to the first word
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for command in (ingest, recommend, shift, chat, demo, fit, forget):
        add_command(app, command)
    app.add_typer(models.build_app(), name="models")
    for entry_point in entry_points(group=COMMAND_GROUP):
        entry_point.load()(app)
    return app


def main() -> None:
    """Run the command line."""
    run(build_app())


def run(app: typer.Typer) -> None:
    """Run an app. An error that a person can act on becomes one line on stderr and exit status 1."""
    from whimbrel.tools.errors import WhimbrelError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter still shows the rest
    try:
        app()
    except (WhimbrelError, OSError) as error:
        line = "".join(c if c.isprintable() else " " for c in str(error))
        print(f"whimbrel: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("whimbrel: interrupted", file=sys.stderr)
        sys.exit(130)


def _print_version(asked: bool) -> None:
    if asked:
        from whimbrel import __version__

        print(__version__)
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the command."""


if __name__ == "__main__":
    main()
