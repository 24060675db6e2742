"""`whimbrel eval images`: measure what images and other vectors of items add to ranking."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval images --store films --cases 1000")
def images(
    store: StoreOption,
    cases: Annotated[int, typer.Option("--cases", min=1, help="The most cases of all items, and of cold ones.")] = 500,
    choices: Annotated[
        int, typer.Option("--choices", min=100, help="The most choices of each kind to learn from.")
    ] = 1000,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what images and other vectors of items add to ranking.

    The store must have such vectors (`whimbrel ingest --image-encoder`, or `--map COLUMN=vector.NAME`). Rankers with
    and without them are learned from the first 80% of the log. Each case is an item that a person met for the first
    time in the rest, among the whole catalogue (retrieved), or among 99 others about as popular: with the figures of
    the log (given), and without any (cold). An item is cold if it had fewer than 10 events. The last column is the
    order by the vectors alone.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.images import images_markdown, measure_images

    with progress_bars() as progress:
        document = measure_images(store, cases=cases, choices=choices, seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(images_markdown(document))
