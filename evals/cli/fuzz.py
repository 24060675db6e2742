"""`whimbrel eval fuzz`: give mutated input to everything that reads what others wrote."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval fuzz --door csv --door chat --seconds 60 --out faults")
def fuzz(
    door: Annotated[
        list[str] | None,
        typer.Option(
            "--door",
            metavar="NAME",
            help="Give input to this door only, such as csv or chat. A package.module:function works too; repeatable.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="How many seconds of the processor each door gets.")
    ] = 600,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Keep each faulty input and its traceback here.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Give mutated input to everything that reads what others wrote.

    A door is a way in: a format of logs, a line of a conversation, a reply of a language model, a stored file. Each
    runs in a process of its own. An input may give a value or an error that a person can act on. Any other exception,
    a hang of over 10 seconds, the death of the process and more than 2 GB of memory are faults. Exits with 1 if there
    is one. If WHIMBREL_DATA is set, small logs beside it are mutated, too.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.fuzzed_doors import DOORS, check_door
    from whimbrel.evals.studies.fuzzing import fuzzing_markdown, measure_fuzzing

    for name in door or ():
        check_door(name)
    with progress_bars() as progress:
        outcomes = measure_fuzzing(door or list(DOORS), seconds, seed=seed, out=out, progress=progress)
    if json:
        print_json({"doors": [asdict(outcome) for outcome in outcomes]})
    else:
        print(fuzzing_markdown(outcomes))
    if any(outcome.faults for outcome in outcomes):
        raise typer.Exit(1)
