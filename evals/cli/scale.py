"""`whimbrel eval scale`: measure what the size of a catalogue and a log costs."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval scale 10000:100000 100000:1000000")
def scale(
    sizes: Annotated[
        list[str], typer.Argument(metavar="ITEMS:EVENTS ...", help="Sizes; each becomes a synthetic shop.")
    ],
    candidates: Annotated[int, typer.Option("--candidates", min=1, help="Candidates that retrieval returns.")] = 200,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what the size of a log costs.

    Measured are ingestion, the size of the store, and request times without a language model, on synthetic shops.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.scale import measure_scale, parse_size, scale_markdown

    shops = [parse_size(size) for size in sizes]
    with progress_bars() as progress:
        measured = [measure_scale(shop, candidates=candidates, seed=seed, progress=progress) for shop in shops]
    if json:
        print_json({"sizes": measured})
    else:
        print(scale_markdown(measured))
