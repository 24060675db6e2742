"""`whimbrel eval agreement`: compare our metrics with those of RecTools."""

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import RunArgument


@example(
    "whimbrel eval log --dataset movielens --path ml-100k --system itemknn,als,sasrec --out run",
    "whimbrel eval agreement run",
)
def agreement(folder: RunArgument, json: JsonOption = False) -> None:
    """Compare our metrics of a run with those of RecTools.

    Both measure the same rankings. `make sasrec` installs RecTools. The exit status is 1 if a metric differs by 0.0005
    or more.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.agreement import TOLERANCE, agreement_lines, measure_agreement

    with progress_bars() as progress:
        document = measure_agreement(folder, progress=progress)
    if json:
        print_json(document)
    else:
        print("\n".join(agreement_lines(document)))
    if document["largest difference as listed"] >= TOLERANCE:
        raise typer.Exit(1)
