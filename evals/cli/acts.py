"""`whimbrel eval acts`: measure how well the rules read what a line of a dialogue does."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example(
    "whimbrel eval acts iard/formatted_IARD_annotated_gold.json",
    "whimbrel eval acts iard/formatted_IARD_annotated_gold.json --store movielens",
)
def acts(
    dialogues: Annotated[str, typer.Argument(metavar="FILE", help="Annotated dialogues in the form of IARD.")],
    store: Annotated[
        str | None,
        typer.Option("--store", metavar="DIR", help="A store of MovieLens: also check its lists for refusals."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure how well the rules read what a line of a dialogue does.

    The intents of IARD are compared with the acts of the conversation in nine groups. With a store, the lines up to
    each annotated refusal are said, and the next three lists are checked.
    """
    from whimbrel.evals.studies.dialogue_acts import acts_markdown, measure_acts, read_acts

    document = measure_acts(read_acts(dialogues))
    if store:
        from whimbrel.agent import Agent
        from whimbrel.evals.studies.exclusions import exclusions_document, measure_exclusions

        with Agent.open(store, llm="none") as agent:
            document["exclusions"] = exclusions_document(measure_exclusions(agent, [dialogues]))
    if json:
        print_json(document)
    else:
        print(acts_markdown(document))
        if store:
            held = document["exclusions"]
            print(f"{held['held']} of {held['refusals']} refusals held in the next {held['lists']} lists")
