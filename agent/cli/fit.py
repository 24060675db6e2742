"""`whimbrel fit`: learn from the log of a store, or from files of sessions."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json

if TYPE_CHECKING:
    from whimbrel.agent.learning.taught_encoder import TeachConfig


@example("whimbrel fit --store shop", "whimbrel fit --sessions log.jsonl --items items.jsonl --out fitted")
def fit(
    store: Annotated[str | None, typer.Option("--store", metavar="DIR", help="A store, to learn from its log.")] = None,
    sessions: Annotated[
        Path | None,
        typer.Option("--sessions", metavar="FILE", help="A log: on each line a JSON list of item ids, in order."),
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="The items of that log, one JSON document a line.")
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(
            "--cases",
            metavar="FILE",
            help="Cases as for `eval rank`: lists that were shown and what was chosen. May also be given alone.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FITTED", help="Folder for what is learned from files.")
    ] = None,
    llm: Annotated[
        str, typer.Option("--llm", metavar="SPEC", help="Learn how much this language model's answer counts, too.")
    ] = "none",
    asked: Annotated[
        int,
        typer.Option("--asked", min=100, help="Choices of each kind of candidates that the model is asked about."),
    ] = 300,
    tune_encoder: Annotated[
        bool,
        typer.Option("--tune-encoder", help="Also teach the text encoder which items go together (`whimbrel[tune]`)."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")] = 0,
    json: JsonOption = False,
) -> None:
    """Learn from a log how to recommend to its people.

    It learns which topics come next and how sure a prediction is, how much each signal counts for a choice, and which
    items go together.

    What is learned from a store is kept in its folder `fitted` and used from then on; remove that folder to undo it.
    What is learned from --sessions is kept in --out, for `whimbrel eval rank --fitted`. Cases also teach how often an
    item is chosen when it is shown. A fit that was stopped resumes with the answers that the language model gave.

    With --tune-encoder, texts of items that people choose one after the other are drawn near, also those of items that
    nobody chose yet. What was tuned is used if held-out people surely gain.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.agent.learning.ask_cost import cost_words
    from whimbrel.agent.learning.cases import read_cases
    from whimbrel.agent.learning.fit import Extras, fit_cases, fit_sessions, fit_store
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.store import open_store

    if (store is not None and sessions is not None) or (store or sessions or cases) is None:
        raise ConfigError("name a log with --store, or with --sessions and --items, or give --cases alone")
    if store is None and out is None:
        raise ConfigError("name a folder for what is learned with --out")
    if store is not None and out is not None:
        raise ConfigError(
            "--out is only for what is learned from files: what is learned from a store is kept in its own folder"
        )
    teach = _teaching(store or sessions) if tune_encoder else None
    beside = Extras(list(read_cases(cases)) if cases else (), open_model(llm, remember=True), asked, teach)
    if words := cost_words(llm, asked):
        print(words, file=sys.stderr)
    with progress_bars() as progress:
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


def _teaching(log: str | Path | None) -> "TeachConfig":
    """Return how the text encoder is taught. There must be a log, and PyTorch."""
    from whimbrel.agent.learning.taught_encoder import TeachConfig, require_torch
    from whimbrel.tools.errors import ConfigError

    if log is None:
        raise ConfigError("--tune-encoder needs a log: give --store, or --sessions and --items")
    require_torch()
    return TeachConfig()
