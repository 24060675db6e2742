"""`whimbrel eval forgetting`: search stores for what is left of forgotten people."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval forgetting --people 1000 --forgotten 50")
def forgetting(
    people: Annotated[int, typer.Option("--people", min=2, help="People of the log.")] = 1000,
    forgotten: Annotated[int, typer.Option("--forgotten", min=1, help="How many of them are forgotten.")] = 50,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Search stores for what is left of forgotten people.

    Each person of a made-up log has an id, titles, a topic, a field, a place and a note of their own. Some talk, click
    and are forgotten, in a folder and on a Chroma server that this command starts. Every file is then searched for
    these and for the times of their events. The lists of 200 others are compared with those of a store that never knew
    them. Exits with 1 if something is left or the items of a list differ.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.forgetting import forgetting_markdown, measure_forgetting

    with progress_bars() as progress:
        trials = measure_forgetting(people, min(forgotten, people - 1), seed=seed, progress=progress)
    if json:
        print_json({"trials": [asdict(trial) for trial in trials]})
    else:
        print(forgetting_markdown(trials))
    if any(trial.left or trial.changed > trial.reordered for trial in trials):
        raise typer.Exit(1)
