"""`whimbrel eval migration`: measure forecasts of the topics in a person's next time window."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import FormatOption, MapOption, SeedOption


@example("whimbrel eval migration sales.csv --map shelf=topics --window-days 14")
def migration(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A log in a format of `ingest`, or a file of cases (.jsonl).")
    ],
    format: FormatOption = None,
    map: MapOption = None,
    window_days: Annotated[float, typer.Option("--window-days", help="Days per window, for a log with times.")] = 14,
    window_events: Annotated[
        int, typer.Option("--window-events", min=1, help="Events per window, for cases without times.")
    ] = 5,
    least_events: Annotated[int, typer.Option("--least-events", min=1, help="Leave out people with fewer events.")] = 8,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure forecasts of the topics of the next window.

    Which topics will a person's next time window hold? This is measured for all topics, and for topics that are in none
    of the person's recent windows.

    Systems are tested on the last windows. The window before these is used to choose each system's threshold. Systems
    learn from still earlier windows.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.migration import measure_migration, migration_markdown
    from whimbrel.evals.studies.topic_windows import Windowing, read_meetings
    from whimbrel.tools.sources.table_options import parse_map

    windowing = Windowing(window_days, window_events, least_events)
    with progress_bars() as progress:
        meetings = read_meetings(source, windowing, format=format, mapped=parse_map(map or []), progress=progress)
        document = measure_migration(meetings, seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(migration_markdown(document))
