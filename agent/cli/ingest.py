"""`whimbrel ingest`: read a log into a store."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, StoreOption, example, print_json


@example(
    "whimbrel ingest sales.csv --store shop "
    "--map customer=user_id --map product=title --map day=time --map shelf=topics",
    "whimbrel ingest clicks.csv --items films.jsonl --store films --map runtime=field.runtime",
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
    items: Annotated[
        str | None,
        typer.Option("--items", metavar="FILE", help="A catalogue in a file of its own: csv, parquet, json or jsonl."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read a log into a store.

    Running the command again changes nothing; if it was interrupted, running it again completes it. The fields user_id,
    title and time are needed; item_id, topics, text, price, event, rating, image and context.KEY are optional. A column
    that is called like a field needs no --map. Rejected rows are written to a file, each with the reason.

    `--map COLUMN=field.NAME` keeps a fact of the items: a number, a date, a flag, a text or a list. Conversations and
    lists can then be limited by it. With --items, the log needs item_id or title, and a mapped column may be in only
    one of the two files.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.terminal import console
    from whimbrel.tools.sources.formats import open_source, open_source_with_items
    from whimbrel.tools.sources.ingest import ingest as ingest_source
    from whimbrel.tools.sources.tables import parse_map

    mapped = parse_map(map or [])
    if items is None:
        opened = open_source(source, format=format, mapped=mapped)
    else:
        opened = open_source_with_items(source, items, format=format, mapped=mapped)
    command = _command(source, items=items, format=format, map=map or [])
    with progress_bars() as progress:
        done = ingest_source(opened, store, command=command, progress=progress)
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


def _command(source: str, *, items: str | None, format: str | None, map: list[str]) -> str:
    """Return the source and its options as a command line has them, to show after an interrupted ingestion."""
    import shlex

    def absolute(path: str) -> str:
        return str(Path(path).resolve()) if Path(path).exists() else path

    options = {"--items": items and absolute(items), "--format": format}
    given = [part for name, value in options.items() if value for part in (name, value)]
    return shlex.join([absolute(source), *given, *(part for pair in map for part in ("--map", pair))])
