"""`whimbrel eval scale`: measure how time and disk space grow with the size of a catalogue and a log."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval scale 10000:100000 100000:1000000")
def scale(
    sizes: Annotated[list[str], typer.Argument(metavar="ITEMS:EVENTS ...", help="Sizes of synthetic shops.")],
    candidates: Annotated[int, typer.Option("--candidates", min=1, help="Candidates that retrieval returns.")] = 200,
    fit: Annotated[bool, typer.Option("--fit", help="Measure `whimbrel fit` too.")] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure how cost grows with the size of a log.

    The shops are synthetic. The command measures ingestion, the size of the store, the times of requests without a
    language model, a cold start, and a fit. Beside seconds it gives peaks of memory, and by which power of the number
    of events each cost grows.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.scale import ScaleConfig, measure_scale, parse_size, scale_markdown

    shops = [parse_size(size) for size in sizes]
    with progress_bars() as progress:
        measured = [measure_scale(shop, ScaleConfig(candidates, fit, seed=seed), progress=progress) for shop in shops]
    if json:
        print_json({"sizes": measured})
    else:
        print(scale_markdown(measured))
