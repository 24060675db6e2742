"""`whimbrel eval results`: the figures that the pages state, and whether the pages agree with them."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example(
    "whimbrel eval results",
    "whimbrel eval results --check",
    "whimbrel eval results --from run --group games",
)
def results(
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a page states another figure.")] = False,
    from_run: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Take figures from this run: the folder given to --out, or a file with what --json printed.",
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="NAME", help="With --from: which figures, such as `games`.")
    ] = None,
    command: Annotated[
        str | None, typer.Option("--command", help="With --from: the command of the run, if it has changed.")
    ] = None,
    pages: Annotated[Path, typer.Option("--pages", metavar="DIR", help="The checkout with the pages.")] = Path(),
    file: Annotated[
        Path | None, typer.Option("--file", help="The kept results, by default those of the package.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the figures that the README and the pages state, each with its interval, n, command and commit.

    They are kept in one file, evals/data/results.json. With --from, figures are replaced by those of a run, in that
    file and in the tables of the pages. What --check then finds in other pages has to be written by hand.
    """
    from whimbrel.agent.display.terminal import console
    from whimbrel.evals.reports.kept_results import differences, keep, kept_results_file, read_results, take_from_run
    from whimbrel.evals.reports.tables import results_table
    from whimbrel.tools.errors import ConfigError

    path = file or kept_results_file()
    kept = read_results(path)
    if (from_run is None) != (group is None):
        raise ConfigError("--from and --group go together: which figures does this run replace?")
    if from_run is not None and group is not None:
        before, kept = kept, take_from_run(kept, group, from_run, command)
        keep(kept, before, path, pages)
    wrong = list(differences(kept, pages)) if check or from_run else []
    if json:
        figures = {name: figure.model_dump(mode="json") for name, figure in kept.figures.items()}
        print_json({"figures": figures, "differences": wrong})
    else:
        console().print(results_table({name: figure.model_dump() for name, figure in kept.figures.items()}))
        for sentence in wrong:
            print(sentence)
    if wrong:
        raise typer.Exit(1)
