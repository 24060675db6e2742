"""`whimbrel eval wishes`: measure whether wishes are met, with each text encoder."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example("whimbrel eval wishes", "whimbrel eval wishes wishes.jsonl --items items.jsonl")
def wishes(
    wishes: Annotated[
        Path | None,
        typer.Argument(
            metavar="[WISHES]",
            help='Lines of {"wish": ..., "topic": ...}. By default 200 wishes in Chinese that are part of Whimbrel.',
        ),
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="The catalogue, one JSON document a line.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure whether the first item of a list has the topic that a wish means, with each text encoder."""
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.wishes import measure_wishes, wishes_markdown
    from whimbrel.tools.errors import ConfigError

    if (wishes is None) != (items is None):
        raise ConfigError("give a file of wishes together with --items FILE")
    with progress_bars() as progress:
        document = measure_wishes(items, wishes, progress=progress)
    if json:
        print_json(document)
    else:
        print(wishes_markdown(document))
