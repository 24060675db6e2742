"""`whimbrel ingest`: read a log into a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    BudgetTokensOption,
    BudgetUsdOption,
    JsonOption,
    StoreOption,
    example,
    print_json,
)


@example(
    "whimbrel ingest sales.csv --store shop",
    "whimbrel ingest sales.csv --store shop "
    "--map customer=user_id --map product=title --map day=time --map shelf=topics",
    "whimbrel ingest clicks.csv --items films.jsonl --store films --map runtime=field.runtime",
    "whimbrel ingest clicks.csv --items shop.csv --store shop --map photo=image --image-encoder bundled",
    "whimbrel ingest clicks.csv --items shop.csv --store shop --map photo=image "
    "--captions openai:gpt-4o-mini --budget-usd 2",
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
    split: Annotated[
        str, typer.Option("--split", metavar="CHARS", help="What separates several topics in one text, as in '>'.")
    ] = "",
    time_format: Annotated[
        str,
        typer.Option(
            "--time-format",
            metavar="F",
            help="How times are written: a pattern such as '%d.%m.%Y %H:%M', or s, ms, us, ns, days, excel, day-first "
            "or month-first. By default it is guessed.",
        ),
    ] = "",
    timezone: Annotated[
        str,
        typer.Option("--timezone", metavar="TZ", help="The zone of local times, as in Europe/Berlin. By default UTC."),
    ] = "",
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", metavar="E", help="The encoding of text files, as in cp1252. By default UTF-8."),
    ] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="The first line is data. Columns are then called 1, 2, ...")
    ] = False,
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--events",
            metavar="WORD=MEANING",
            help="What an event word means: seen, wanted, chosen, rated or turned-away. May be repeated.",
        ),
    ] = None,
    min_people: Annotated[
        int | None,
        typer.Option(
            "--min-people",
            metavar="N",
            min=1,
            help="Show an item to others only if so many people met it, or nobody. By default 1 with a catalogue, and "
            "3 for a log alone of 200 people or more: its titles may be anybody's words.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="The text encoder of a new store: english, or multilingual, which is slower. By default the script of "
            "the titles chooses.",
        ),
    ] = None,
    image_encoder: Annotated[
        str | None,
        typer.Option(
            "--image-encoder",
            metavar="SPEC",
            help="What looks at the images of items: `bundled` (of whimbrel[image]), the path of an ONNX file, "
            "hf:REPO:FILE for one of a Hugging Face hub, or none. The store keeps it for later sources.",
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(
            "--captions",
            metavar="SPEC",
            help="A vision model that says what the images of items show: openai:MODEL or openai:MODEL@BASE_URL. Each "
            "image is sent to it once, at a small size.",
        ),
    ] = None,
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    calibrate: Annotated[
        bool,
        typer.Option(help="Learn from the end of the log which signals count on it. It takes seconds, for any log."),
    ] = True,
    json: JsonOption = False,
) -> None:
    """Read a log into a store.

    Running the command again changes nothing; if it was interrupted, running it again completes it. The fields user_id,
    title and time are needed; item_id, topics, text, price, event, rating, image and context.KEY are optional. Which
    column holds which field is guessed from names and values, and told. Rejected rows are written to a file, each with
    the reason.

    `--map COLUMN=field.NAME` keeps a fact of the items: a number, a date, a flag, a text or a list. Conversations and
    lists can then be limited by it. With --items, the log needs item_id or title, and a mapped column may be in only
    one of the two files.

    `--map COLUMN=vector.NAME` keeps a vector of the items, such as of their sound: a list of numbers, of one length.
    `--map COLUMN=image` names their images: paths relative to the folder of the file, also ARCHIVE.zip!MEMBER. With
    --image-encoder, looks count too. A web address is never fetched. With --captions, what the images show counts too.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.ingestion import print_ingested
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.language_models.captions import open_captioner
    from whimbrel.agent.language_models.hosted.budget import Budget
    from whimbrel.agent.learning.fit import calibrate_store
    from whimbrel.tools.event_meanings import parse_events
    from whimbrel.tools.images.encoder import HUB, fetch_image_encoder
    from whimbrel.tools.sources.formats import open_source, open_source_with_items
    from whimbrel.tools.sources.ingest import ingest as ingest_source
    from whimbrel.tools.sources.table_options import TableOptions, parse_map
    from whimbrel.tools.store.store import open_store
    from whimbrel.tools.text.encoders import encoder_named

    meanings = parse_events(events or [])
    options = TableOptions(parse_map(map or []), split, time_format, timezone, encoding, False if no_header else None)
    if items is None:
        opened = open_source(source, format=format, options=options)
    else:
        opened = open_source_with_items(source, items, format=format, options=options)
    given = {
        "--items": items,
        "--format": format,
        "--split": split,
        "--time-format": time_format,
        "--timezone": timezone,
        "--image-encoder": image_encoder,
        "--captions": captions,
    }
    command = _command(source, {**given, "--encoding": encoding}, map or [], no_header=no_header)
    captioner = open_captioner(captions, budget=Budget(budget_tokens, budget_usd)) if captions else None
    if image_encoder and image_encoder.startswith(HUB):
        fetch_image_encoder(image_encoder)  # a long download shows its own progress
    with progress_bars() as progress:
        done = ingest_source(
            opened,
            store,
            command=command,
            progress=progress,
            meanings=meanings,
            timezone=timezone,
            min_people=min_people,
            encoder=encoder_named(encoder) if encoder else None,
            image_encoder=image_encoder,
            captioner=captioner,
        )
        if calibrate and (done.new_events or any(of.new for of in done.modalities.values())):
            with open_store(store) as opened_store:
                calibrate_store(opened_store, progress=progress)
    if json:
        spent = {"captions": asdict(captioner.usage)} if captioner else {}
        print_json({"store": store, **done.as_document(), **spent})
        return
    print_ingested(done, captioner.usage if captioner else None)


def _command(source: str, options: Mapping[str, str | None], map: list[str], *, no_header: bool) -> str:
    """Return the source and its options as a command line has them, to show after an interrupted ingestion."""
    import shlex

    def absolute(path: str) -> str:
        return str(Path(path).resolve()) if Path(path).exists() else path

    given = [
        part
        for name, value in options.items()
        if value
        for part in (name, absolute(value) if name in {"--items", "--image-encoder"} else value)
    ]
    given += ["--no-header"] if no_header else []
    return shlex.join([absolute(source), *given, *(part for pair in map for part in ("--map", pair))])
