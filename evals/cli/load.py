"""`whimbrel eval load`: measure a store under load."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval load 1000:20000 --processes 8 --minutes 10")
def load(
    size: Annotated[str, typer.Argument(metavar="ITEMS:EVENTS", help="The size of the made-up shop.")] = "1000:20000",
    processes: Annotated[int, typer.Option("--processes", min=1, help="Processes that work at once.")] = 8,
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, help="How long they work.")] = 10.0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure a store under load.

    Several processes recommend and record feedback on one Chroma server, which this command starts. Exits with 1 if a
    call fails.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.load import load_markdown, measure_load
    from whimbrel.evals.studies.scale import parse_size

    with progress_bars() as progress:
        measured = measure_load(parse_size(size), processes, minutes, seed=seed, progress=progress)
    if json:
        print_json(measured)
    else:
        print(load_markdown(measured))
    if measured["errors"]:
        raise typer.Exit(1)
