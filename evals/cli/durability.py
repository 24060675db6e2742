"""`whimbrel eval durability`: check that a store keeps what it acknowledged."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval durability --events 2000 --kills 100")
def durability(
    events: Annotated[int, typer.Option("--events", min=16, help="Events of each trial without kills.")] = 2000,
    kills: Annotated[int, typer.Option("--kills", min=1, help="Processes of each kind that are killed.")] = 20,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Check that a store keeps what it acknowledged.

    Threads and processes record events at once, in a folder and on a Chroma server that this command starts. Writers,
    ingestions, fits, conversations and evaluations are killed. Every acknowledged event must be in its history and once
    in the log, and what a killed command left must be whole. Exits with 1 if it is not.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.durability import durability_markdown, measure_durability

    with progress_bars() as progress:
        trials = measure_durability(events, kills, seed=seed, progress=progress)
    if json:
        print_json({"trials": [asdict(trial) for trial in trials]})
    else:
        print(durability_markdown(trials))
    if any(trial.lost or trial.not_in_log or trial.repeated for trial in trials):
        raise typer.Exit(1)
