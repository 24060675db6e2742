"""`whimbrel eval shift`: measure predictions of the next topics and of the interest shift."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import FormatOption, MapOption, SeedOption


@example("whimbrel eval shift sales.csv --map shelf=topics")
def shift(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A log in a format of `ingest`, a Last.fm or Frappe folder, or cases (.jsonl)."
        ),
    ],
    format: FormatOption = None,
    map: MapOption = None,
    moments: Annotated[
        int, typer.Option("--moments", min=100, help="Number of events, half to learn from and half to test.")
    ] = 2500,
    learned: Annotated[
        Path | None,
        typer.Option("--learned", metavar="FILE", help="Weights learned elsewhere, instead of the shipped ones."),
    ] = None,
    llm: Annotated[
        str,
        typer.Option("--llm", metavar="SPEC", help="Also measure what this language model's likelihoods add."),
    ] = "none",
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Number of events that the language model is asked about.")
    ] = 200,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure whether predicted topics and shifts come true.

    The predictions are the topics of the next event, the shift, its kind, and the confidence.

    Systems learn from half of the people and are tested on the other half. If times are known, the test is also later.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.fitted import read_topics
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.agent.shift.next_topics import NextTopics
    from whimbrel.evals.runs.document import without_nan
    from whimbrel.evals.studies.shift_moments import read_moments
    from whimbrel.evals.studies.shifts import measure_shifts, shifts_markdown
    from whimbrel.tools.sources.table_options import parse_map

    with progress_bars() as progress:
        split = read_moments(
            source, format=format, mapped=parse_map(map or []), moments=moments, seed=seed, progress=progress
        )
        elsewhere = read_topics(learned) if learned else NextTopics.default()
        model = open_model(llm)
        document = measure_shifts(split, elsewhere, llm=model, limit=limit, seed=seed, progress=progress)
    for problem in split.problems:
        print(f"whimbrel: {source}: {problem}", file=sys.stderr)
    if json:
        # A mean over no cases is NaN, which JSON does not have.
        print_json(without_nan(document | {"wrong lines": [str(problem) for problem in split.problems]}))
    else:
        print(shifts_markdown(document))
