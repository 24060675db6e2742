"""`whimbrel eval http-load`: measure a server under load."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval http-load 1000:20000 --callers 50 --minutes 10")
def http_load(
    size: Annotated[str, typer.Argument(metavar="ITEMS:EVENTS", help="The size of the made-up shop.")] = "1000:20000",
    callers: Annotated[int, typer.Option("--callers", min=1, help="Callers that work at once.")] = 50,
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, help="How long they work.")] = 10.0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure a server under load, beside direct calls in Python.

    Callers ask `whimbrel serve` for lists and record feedback, nine to one. At the end the server is killed while they
    record, and what it had acknowledged is looked for in the store. Exits with 1 if a call fails or feedback is lost.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.http_load import measure_http_load
    from whimbrel.evals.studies.load import load_markdown
    from whimbrel.evals.studies.scale import parse_size

    with progress_bars() as progress:
        measured = measure_http_load(parse_size(size), callers, minutes, seed=seed, progress=progress)
    if json:
        print_json(measured)
    else:
        print(load_markdown(measured))
    if measured["errors"] or measured["lost by the kill"]:
        raise typer.Exit(1)
