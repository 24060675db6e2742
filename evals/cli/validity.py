"""`whimbrel eval validity`: check recommendations against the log that the store was made from."""

import sys
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, StoreOption, example, print_json
from whimbrel.evals.cli.options import FormatOption, MapOption


@example("whimbrel eval validity ml-100k --store films --users 50")
def validity(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The log that the store was made from.")],
    store: StoreOption,
    format: FormatOption = None,
    map: MapOption = None,
    users: Annotated[int, typer.Option("--users", min=1, help="Number of users, evenly spread over the log.")] = 50,
    llm: LlmOption = "bundled",
    k: Annotated[int, typer.Option("--k", min=1, help="Items per user.")] = 10,
    json: JsonOption = False,
) -> None:
    """Check recommendations against the log.

    For each user, `whimbrel recommend --json` is run, and its answer is checked against the log that the store was made
    from. Cited events must have happened and recommended items must be new. The exit status is 1 if an answer is wrong.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.validity import Requests, measure_validity, read_log, validity_lines
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.table_options import parse_map

    # The log is read from the source, since the store is part of what is checked.
    log = read_log(open_source(source, format=format, mapped=parse_map(map or [])))
    with progress_bars() as progress:
        document = measure_validity(log, Requests(store, users, llm, k), progress=progress)
    for user_id, problems in document["problems"].items():
        print(f"whimbrel: user {user_id}: {'; '.join(problems)}", file=sys.stderr)
    if json:
        print_json(document)
    else:
        print("\n".join(validity_lines(document)))
    if document["valid"] < document["users"]:
        raise typer.Exit(1)
