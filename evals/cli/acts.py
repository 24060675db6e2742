"""`whimbrel eval acts`: measure how well the rules read what a line of a dialogue does."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example("whimbrel eval acts iard/formatted_IARD_annotated_gold.json")
def acts(
    dialogues: Annotated[str, typer.Argument(metavar="FILE", help="Annotated dialogues in the form of IARD.")],
    json: JsonOption = False,
) -> None:
    """Measure how well the rules read what a line of a dialogue does.

    The intents of IARD are compared with the acts of the conversation in nine groups.
    """
    from whimbrel.evals.studies.dialogue_acts import acts_markdown, measure_acts, read_acts

    document = measure_acts(read_acts(dialogues))
    if json:
        print_json(document)
    else:
        print(acts_markdown(document))
