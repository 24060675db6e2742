"""`whimbrel eval lines`: measure how well lines of conversations are read."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json


@example(
    "whimbrel eval lines --catalog tau-rec/catalog.json",
    "whimbrel eval lines --catalog tau-rec/catalog.json --llm openai:gpt-4.1-mini",
)
def lines(
    catalog: Annotated[str, typer.Option("--catalog", metavar="FILE", help="The items of tau-Rec.")],
    llm: LlmOption = "none",
    json: JsonOption = False,
) -> None:
    """Measure how well lines of conversations are read.

    390 lines in English, German and Chinese, written by people who did not know the rules, are read in the catalogue of
    tau-Rec. A model reads them if it can, and else the rules do.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.language_models.access import ModelAccess
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.agent.reading.tiers import tier_of
    from whimbrel.evals.studies.dialogue import read_catalogue
    from whimbrel.evals.studies.talk_lines import lines_markdown, measure_lines

    items, reader = read_catalogue(catalog), open_model(llm)
    with progress_bars() as progress:
        document = measure_lines(items, model=ModelAccess(reader, tier=tier_of(reader)), progress=progress)
    if json:
        print_json(document)
    else:
        print(lines_markdown(document))
