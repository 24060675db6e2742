"""`whimbrel fit`: learning from a store's log, or from files of sessions."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json


@example(
    "whimbrel fit --store shop",
    "whimbrel fit --sessions log.jsonl --items items.jsonl --out fitted",
)
def fit(
    store: Annotated[str | None, typer.Option("--store", metavar="DIR", help="A store: learn from its log.")] = None,
    sessions: Annotated[
        Path | None, typer.Option("--sessions", metavar="FILE", help="A log: a JSON list of item ids a line, in order.")
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="Items of that log, one JSON document a line.")
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(
            "--cases",
            metavar="FILE",
            help="Cases as of `eval rank`, to calibrate with; alone, all that is learned from.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FITTED", help="A folder for what is learned.")] = None,
    llm: Annotated[
        str, typer.Option("--llm", metavar="SPEC", help="Learn also what this language model's likelihood is worth.")
    ] = "none",
    asked: Annotated[
        int, typer.Option("--asked", min=100, help="Choices that the language model is asked about.")
    ] = 300,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all chance.")] = 0,
    json: JsonOption = False,
) -> None:
    """Learn from a log what tells the next topics of its people and how sure one may be, what each signal is worth for
    what they choose, and which items go together.

    Of a store it lies in the store's folder, in `fitted`, and is used from then on; remove that folder to forget it.
    What is learned from --sessions goes to --out, together with that log, for `whimbrel eval rank --fitted`. Cases
    tell also how often what was shown was chosen. A fit that was stopped goes on with what the model said before.
    """
    from whimbrel.agent.display.terminal import ingest_progress
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.agent.learning.cases import read_cases
    from whimbrel.agent.learning.fit import Asked, fit_cases, fit_sessions, fit_store
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.store import open_store

    if (store is not None and sessions is not None) or (store or sessions or cases) is None:
        raise ConfigError("give a log with --store, or with --sessions and --items, or --cases alone")
    if store is None and out is None:
        raise ConfigError("give a folder for what is learned with --out")
    if store is not None and out is not None:
        raise ConfigError("--out is for what is learned from files; of a store it lies in the store's folder")
    beside = Asked(list(read_cases(cases)) if cases else (), open_model(llm, remember=True), asked)
    with ingest_progress() as progress:
        if store is not None:
            with open_store(store) as opened:
                done = fit_store(opened, beside, seed=seed, progress=progress)
        elif out is not None and sessions is not None:
            done = fit_sessions(sessions, items, out, beside, seed=seed, progress=progress)
        elif out is not None:
            done = fit_cases(beside, out, seed=seed, progress=progress)
    for problem in done.problems:
        print(f"whimbrel: {cases}: {problem}", file=sys.stderr)
    if json:
        print_json(done.document())
    else:
        print(done.words())
