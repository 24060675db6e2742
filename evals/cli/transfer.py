"""`whimbrel eval transfer`: measure what weights learned from one log are worth on another."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example(
    "whimbrel eval transfer films-store shop-store --users 300",
    "whimbrel eval transfer clothing.jsonl electronic.jsonl",
)
def transfer(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A store with learned weights, a folder of `fit --out`, or sessions."),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A store, or sessions as for `eval boundaries`.")],
    users: Annotated[int, typer.Option("--users", min=1, help="How many people are asked about.")] = 300,
    choices: Annotated[
        int, typer.Option("--choices", min=1, help="Moments of the target that its own weights are learned from.")
    ] = 400,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure weights of one log on another: unused, used, refitted on a part of the people, and fused.

    Weights are learned from moments before those that lists are asked for. SOURCE may have been learned from later
    events than the moments of TARGET, if no event of it tells of TARGET's people or items. Stores are only read.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.transfer import TransferConfig, measure_transfer, transfer_markdown

    with progress_bars() as progress:
        document = measure_transfer(source, target, TransferConfig(users, choices, seed), progress=progress)
    if json:
        print_json(document)
    else:
        print(transfer_markdown(document))
