"""`whimbrel eval boundaries`: measure how well systems find changes of intent within a session."""

import sys
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import (
    CasesArgument,
    LimitOption,
    OutOption,
    SeedOption,
    SystemOption,
    split_names,
)


@example("whimbrel eval boundaries sessions.jsonl --system whimbrel,similarity")
def boundaries(
    cases: CasesArgument,
    system: SystemOption = None,
    llm: Annotated[
        str,
        typer.Option("--llm", metavar="SPEC", help="Has no effect: no system for boundaries asks a language model."),
    ] = "bundled",
    out: OutOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure how well changes of intent are found.

    For each pair of neighbouring items of a session, systems give the probability that the intent changes. This
    probability is compared with the label.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.terminal import console
    from whimbrel.evals.reports.tables import boundary_table
    from whimbrel.evals.studies.boundaries import BOUNDARY_SYSTEMS, measure_boundaries

    names = split_names(system) or tuple(BOUNDARY_SYSTEMS)
    with progress_bars() as progress:
        document = measure_boundaries(cases, names, seed=seed, limit=limit, out=out, progress=progress)
    for problem in document["cases"]["wrong lines"]:
        print(f"whimbrel: {cases}: {problem}", file=sys.stderr)
    if json:
        print_json(document)
    else:
        console().print(boundary_table(document))
