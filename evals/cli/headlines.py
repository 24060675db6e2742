"""`whimbrel eval headlines`: measure whether lists follow the shifts that they announce."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import NamedSourcesArgument, SeedOption


@example("whimbrel eval headlines films=ml-100k groceries=completejourney --people 600")
def headlines(
    sources: NamedSourcesArgument,
    people: Annotated[int, typer.Option("--people", min=1, help="People to draw from each log.")] = 600,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of the lists.")] = 10,
    llm: LlmOption = "none",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure whether lists follow the shifts that they announce.

    A shift is announced if it is named with at least even chance. The list should then hold items of its topics. The
    table also gives the share of all events of the log that have these topics, and how often the next event had one.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.runs.document import without_nan
    from whimbrel.evals.studies.asked_choices import open_access
    from whimbrel.evals.studies.headlines import HeadlineConfig, headlines_markdown, measure_headlines

    with progress_bars() as progress:
        document = measure_headlines(
            sources, HeadlineConfig(people, k, seed), model=open_access(llm), progress=progress
        )
    if json:
        print_json(without_nan(document))
    else:
        print(headlines_markdown(document))
