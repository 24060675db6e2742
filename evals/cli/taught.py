"""`whimbrel eval taught`: measure what a text encoder taught by the log adds."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval taught films", "whimbrel eval taught sessions.jsonl,items.jsonl --moments 1000")
def taught(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A store, or the files `SESSIONS,ITEMS` as for `whimbrel fit`.")
    ],
    moments: Annotated[int, typer.Option("--moments", min=100, help="Most moments to test.")] = 600,
    warm_up: Annotated[
        float, typer.Option("--warm-up", min=0.1, max=0.95, help="The share of the log that is learned from.")
    ] = 0.7,
    pieces: Annotated[
        bool, typer.Option("--pieces/--no-pieces", help="Whether word pieces have vectors, beside the linear map.")
    ] = True,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="No epoch begins after so many.")] = 10.0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what a text encoder taught by the log adds (`whimbrel fit --tune-encoder`).

    It learns from the first part of the log and is tested on choices of the rest: beside EASE and the untuned encoder,
    and in the whole ranking. It needs `whimbrel[tune]`. A store is only read.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.learning.taught_encoder import TeachConfig
    from whimbrel.evals.studies.taught import markdown, measure_taught

    config = TeachConfig(minutes=minutes, with_pieces=pieces)
    with progress_bars() as progress:
        document = measure_taught(source, moments=moments, warm_up=warm_up, config=config, seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(markdown(document))
