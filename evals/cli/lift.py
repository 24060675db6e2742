"""`whimbrel eval lift`: measure what a language model adds to a ranking if no log is available."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import NamedSourcesArgument, SeedOption


@example("whimbrel eval lift films=ml-100k games=sessions.jsonl,items.jsonl --llm bundled")
def lift(
    sources: NamedSourcesArgument,
    llm: LlmOption = "bundled",
    choices: Annotated[
        int, typer.Option("--choices", min=1, help="Choices of each log from which feature weights are learned.")
    ] = 1000,
    asked: Annotated[
        int, typer.Option("--asked", min=1, help="Choices of each log that the language model is asked about.")
    ] = 200,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what a language model adds to a ranking.

    The items are ranked as if no log had any of them. The weights come from all logs except the one under test. Replies
    of the model are cached on disk, so the same command resumes.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.lift import LiftConfig, document_of, markdown, measure_lifts

    with progress_bars() as progress:
        lifts = measure_lifts(sources, LiftConfig(llm, choices, asked, seed), progress=progress)
    if json:
        print_json({"llm": llm, "logs": document_of(lifts)})
    else:
        print(markdown(lifts))
