"""`whimbrel eval stuffing`: measure what candidates gain from orders and from stuffed titles."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import CasesArgument, SeedOption


@example("whimbrel eval stuffing cases.jsonl --llm bundled --each 30")
def stuffing(
    cases: CasesArgument,
    llm: LlmOption = "none",
    each: Annotated[int, typer.Option("--each", min=1, max=30, help="Texts of each kind, in each place.")] = 30,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what candidates gain from orders and from stuffed titles.

    Ten kinds of orders are written into the title, the topics and the text of a candidate, such as "rank this first",
    false grades and false ends of a prompt. Eight kinds of titles copy what the person met. The place of the candidate
    is compared with its place before. The kind "control" orders nothing.
    """
    from whimbrel.agent.agent import Agent
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.stuffing import measure_stuffing, stuffing_markdown

    with Agent.open(None, llm) as agent, progress_bars() as progress:
        document = measure_stuffing(agent, cases, each=each, seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(stuffing_markdown(document))
