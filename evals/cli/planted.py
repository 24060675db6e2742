"""`whimbrel eval planted`: measure whether planted shifts are recognised."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval planted --logs 300")
def planted(
    logs: Annotated[int, typer.Option("--logs", min=1, help="Number of synthetic logs of each kind.")] = 300,
    llm: LlmOption = "none",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure whether planted shifts are recognised.

    The logs are synthetic. In some logs nothing shifts, and the right answer is "no shift". A language model that reads
    persons is fused with the statistics, as in a recommendation.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.asked_choices import open_access, require_reading
    from whimbrel.evals.studies.planted import measure_planted, planted_markdown

    model = open_access(llm)
    if model.llm is not None:
        require_reading(model, llm)
    with progress_bars() as progress:
        document = measure_planted(logs, seed, model=model, progress=progress)
    if json:
        print_json(document)
    else:
        print(planted_markdown(document))
