"""`whimbrel eval cost`: compare the cost of a recommendation with bare llama.cpp."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, StoreOption, example, print_json


@example("whimbrel eval cost --store shop --llm bundled --users 10 --scored 100")
def cost(
    store: StoreOption,
    llm: LlmOption = "bundled",
    users: Annotated[int, typer.Option("--users", min=2, help="Number of users to recommend to.")] = 10,
    scored: Annotated[int, typer.Option("--scored", min=2, help="Candidates that the model scores.")] = 100,
    k: Annotated[int, typer.Option("--k", min=1, help="Items to recommend.")] = 10,
    json: JsonOption = False,
) -> None:
    """Compare tokens and seconds with bare llama.cpp.

    In the same run, bare llama.cpp repeats the model calls of each recommendation. A local model is needed. The median
    over users is printed, and the mean with its 95% interval.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.runs.document import without_nan
    from whimbrel.evals.studies.cost import CostConfig, cost_markdown, measure_cost

    with progress_bars() as progress:
        document = measure_cost(store, CostConfig(llm, users, scored, k), progress=progress)
    if json:
        print_json(without_nan(document))
    else:
        print(cost_markdown(document))
