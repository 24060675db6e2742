"""`whimbrel eval lift`: measure what a language model adds to a ranking if no log is available."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, RememberOption, example, print_json
from whimbrel.evals.cli.options import (
    AskedOption,
    DirectionsOption,
    KindOption,
    NamedSourcesArgument,
    SeedOption,
    candidate_kind,
)


@example("whimbrel eval lift films=ml-100k games=sessions.jsonl,items.jsonl --llm bundled")
def lift(
    sources: NamedSourcesArgument,
    llm: LlmOption = "bundled",
    choices: Annotated[
        int, typer.Option("--choices", min=1, help="Choices of each log from which feature weights are learned.")
    ] = 1000,
    asked: AskedOption = 200,
    kind: KindOption = "cold",
    directions: DirectionsOption = 2,
    remember: RememberOption = True,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what a language model adds to a ranking.

    By default the items are ranked as if no log had any of them. The weights come from all logs except the one under
    test. Replies of the model are cached on disk, so the same command resumes.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.asked_choices import AskConfig
    from whimbrel.evals.studies.lift import document_of, markdown, measure_lifts

    config = AskConfig(llm, candidate_kind(kind), choices, asked, directions, bool(remember), seed)
    with progress_bars() as progress:
        lifts = measure_lifts(sources, config, progress=progress)
    if json:
        print_json({"llm": llm, "logs": document_of(lifts)})
    else:
        print(markdown(lifts))
