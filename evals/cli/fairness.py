"""`whimbrel eval fairness`: measure whom lists serve and which items they show."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example(
    "whimbrel eval fairness --store shop --users 500 --exposure 0 --exposure .05 --exposure .2",
    "whimbrel eval fairness --store shop --people people.csv --maker brand",
)
def fairness(
    store: StoreOption,
    users: Annotated[int, typer.Option("--users", min=1, help="How many people are asked about.")] = 500,
    exposure: Annotated[
        list[float] | None,
        typer.Option("--exposure", min=0, max=1, help="A setting of `recommend --exposure`; repeatable."),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            "--people", metavar="FILE", help="A CSV file with a header: the user's id, then facts about them."
        ),
    ] = None,
    maker: Annotated[
        str,
        typer.Option("--maker", metavar="FIELD", help="The field that names who makes or sells an item, or `topics`."),
    ] = "",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure whom lists serve and which items they show.

    Each person is asked about at the moment of their latest new item. The tables give NDCG@10 by group of people (by
    activity, and by each column of --people), the share of the list outside the most popular items, the popularity of
    lists beside that of histories, and the shares of makers. Each --exposure is compared with the first. The shipped
    weights are used, since those of the store may have been learned from the moments that are asked about.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.data.people import read_people
    from whimbrel.evals.studies.fairness import fairness_markdown, measure_fairness

    facts = read_people(people) if people else None
    with progress_bars() as progress:
        document = measure_fairness(
            store,
            users=users,
            exposures=tuple(dict.fromkeys(exposure or [0.0])),
            people=facts,
            maker=maker,
            seed=seed,
            progress=progress,
        )
    if json:
        print_json(document)
    else:
        print(fairness_markdown(document))
