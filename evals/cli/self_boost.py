"""`whimbrel eval self-boost`: count the places that the maker of an item gains by its words and by accounts."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, StoreOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval self-boost --store shop --requests 100")
def self_boost(
    store: StoreOption,
    requests: Annotated[int, typer.Option("--requests", min=2, help="Requests. Every other one has a wish.")] = 40,
    llm: LlmOption = "none",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Count the places that the maker of an item gains by its words and by accounts.

    For each request an item is added whose title is written for it, in eight ways. 1, 5 and 20 accounts of its maker
    choose it together with what is popular. The store is only read.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.evals.studies.self_boost import measure_self_boost, self_boost_markdown

    with progress_bars() as progress:
        document = measure_self_boost(store, requests, llm=open_model(llm), seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(self_boost_markdown(document))
