"""`whimbrel ingest`: read a log into a store."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, example, print_json


@example(
    "whimbrel ingest sales.csv --store shop "
    "--map customer=user_id --map product=title --map day=time --map shelf=topics"
)
def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file or folder, or `completejourney`.")],
    store: StoreOption,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="completejourney, movielens, amazon, mind, csv, parquet or jsonl. By default it is recognised from "
            "file names or the first line.",
        ),
    ] = None,
    map: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Which column holds which field. May be repeated."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read a log into a store.

    Running the command again changes nothing; if it was interrupted, running it again completes it. The fields user_id,
    title and time are needed; item_id, topics, text, price, event, rating, image and context.KEY are optional. A column
    that is called like a field needs no --map. Rejected rows are written to a file, each with the reason.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.terminal import console
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest as ingest_source
    from whimbrel.tools.sources.tables import parse_map

    opened = open_source(source, format=format, mapped=parse_map(map or []))
    with progress_bars() as progress:
        done = ingest_source(opened, store, command=_command(source, format, map or []), progress=progress)
    if json:
        print_json({"store": store, **vars(done), "rejects": str(done.rejects) if done.rejects else None})
        return
    out = console()
    out.print(
        f"Read {_counted(done.rows, 'row')}: {_counted(done.events, 'event')} ({done.new_events:,} new) of "
        f"{_counted(done.users, 'user')}, {done.catalogue:,} of a catalogue, {done.repeated:,} repeated, "
        f"{done.rejected:,} rejected. {_counted(done.items, 'item')}, {done.new_items:,} of them new or changed.",
        markup=False,
    )
    if done.rejects:
        out.print(f"The rejected rows and the reasons are in {done.rejects}", soft_wrap=True, markup=False)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _command(source: str, format: str | None, map: list[str]) -> str:
    """Return the source and its options as a command line has them, to show after an interrupted ingestion."""
    import shlex

    given = Path(source).resolve() if Path(source).exists() else source
    return shlex.join(
        [str(given), *(["--format", format] if format else []), *(part for pair in map for part in ("--map", pair))]
    )
