"""`whimbrel eval cold-start`: measure lists for new people, new items, and people known in another store."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval cold-start --store films --users 150 --split Comedy --split Musical")
def cold_start(
    store: StoreOption,
    users: Annotated[int, typer.Option("--users", min=1, help="Most people, and most new items, asked about.")] = 150,
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            metavar="TOPIC",
            help="Items of this topic are another shop, in which the same people have a history; repeatable.",
        ),
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure cold starts beside popularity, text similarity and LightFM with topics.

    People who begin in the last fifth of the log are asked about after 0, 1, 3 and 5 events. Items that begin there are
    asked about at their first event, among 20 that nobody has met yet. With --split, lists with and without the history
    in the other shop are compared. Whimbrel is measured with what it learns from the first four fifths, and as shipped.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.cold_start import cold_start_markdown, measure_cold_start

    with progress_bars() as progress:
        document = measure_cold_start(store, users=users, seed=seed, split=split or (), progress=progress)
    if json:
        print_json(document)
    else:
        print(cold_start_markdown(document))
