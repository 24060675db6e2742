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
            help="completejourney, movielens, amazon, mind, csv, parquet or jsonl; else told from names or first line.",
        ),
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is which field; repeat it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read a log into a store. Running it again changes nothing; interrupted, it completes when run again.

    Fields: user_id, title and time are needed; item_id, topics, text, price, event, rating, image and context.KEY
    may be given. Columns that bear a field's name need no --map. Rejected rows go to a file, with the reason.
    """
    from whimbrel.agent.display.terminal import console, ingest_progress
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest as ingest_source
    from whimbrel.tools.sources.tables import parse_map

    opened = open_source(source, format=format, mapped=parse_map(map or []))
    with ingest_progress() as progress:
        done = ingest_source(opened, store, command=_again(source, format, map or []), progress=progress)
    if json:
        print_json({"store": store, **vars(done), "rejects": str(done.rejects) if done.rejects else None})
        return
    out = console()
    out.print(
        f"{done.rows:,} rows: {done.catalogue:,} of a catalogue, {done.events:,} events ({done.new_events:,} new) of "
        f"{done.users:,} users with {done.items:,} items ({done.new_items:,} new or changed), "
        f"{done.repeated:,} repeated, {done.rejected:,} rejected.",
        markup=False,
    )
    if done.rejects:
        out.print(f"Which rows were rejected and why stands in {done.rejects}", soft_wrap=True, markup=False)


def _again(source: str, format: str | None, map: list[str]) -> str:
    """The source and its options, for the command that completes an interrupted ingestion."""
    import shlex

    given = Path(source).resolve() if Path(source).exists() else source
    return shlex.join(
        [str(given), *(["--format", format] if format else []), *(part for pair in map for part in ("--map", pair))]
    )
