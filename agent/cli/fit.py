"""`whimbrel fit`: learn from the log of a store, or from files of sessions."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json

if TYPE_CHECKING:
    from whimbrel.agent.language_models.protocol import LanguageModel
    from whimbrel.agent.learning.taught_encoder import TeachConfig


@example(
    "whimbrel fit --store shop",
    "whimbrel fit --store shop --tune-model",
    "whimbrel fit --store shop --out fitted",
    "whimbrel fit --store new-shop --from fitted",
    "whimbrel fit --sessions log.jsonl --items items.jsonl --out fitted",
)
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
        Path | None,
        typer.Option("--out", metavar="FITTED", help="Folder for what is learned. A store then stays as it is."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FITTED",
            help="With --store: begin with what `fit --out` learned from another store, where held-out people gain.",
        ),
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
    tune_model: Annotated[
        bool,
        typer.Option("--tune-model", help="Tune the local model of --llm (by default `bundled`) on the log, too."),
    ] = False,
    tune_minutes: Annotated[
        float | None,
        typer.Option(
            "--tune-minutes",
            min=0.1,
            help="The longest time to tune, without the test that follows. By default 5.",
            show_default=False,
        ),
    ] = None,
    tune_steps: Annotated[
        int | None, typer.Option("--tune-steps", min=1, help="Tune for so many steps at most.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")] = 0,
    json: JsonOption = False,
) -> None:
    """Learn from a log how to recommend to its people.

    It learns which topics come next and how sure a prediction is, how much each signal counts for a choice, and which
    items go together.

    What is learned from a store is kept in its folder `fitted` and used from then on; remove that folder to undo it.
    With --out it is kept there, for `whimbrel recommend --fitted` on another store. What is learned from --sessions is
    kept in --out, for `whimbrel eval rank --fitted`. Cases also teach how often an item is chosen when it is shown. A
    fit that was stopped resumes with the answers that the language model gave.

    With --from, the weights of another store are where those of this one begin. The more this log knows, the further
    they leave it. Where held-out people of this store lose by that, it is switched off, and the last line says so.

    With --tune-encoder, texts of items that people choose one after the other are drawn near, also those of items that
    nobody chose yet. What was tuned is used if held-out people surely gain.

    With --tune-model, a language model learns the titles that people of the log chose after each other. The tuned model
    is kept beside the rest if held-out people gain, and is used wherever the same --llm is asked for.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.learning.ask_cost import cost_words
    from whimbrel.agent.learning.cases import read_cases
    from whimbrel.agent.learning.fit import Extras, fit_cases, fit_sessions, fit_store
    from whimbrel.agent.learning.tuning.train import MINUTES, TuneConfig
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store.store import open_store

    if not tune_model and (tune_minutes is not None or tune_steps is not None):
        raise ConfigError("--tune-minutes and --tune-steps are for --tune-model: add it")
    _check_logs(store, sessions, cases, out, needs_log=tune_model, has_source=source is not None)
    teach = _teaching(store or sessions) if tune_encoder else None
    model = _open_model(llm, is_tuned=tune_model)
    tuning = TuneConfig(minutes=tune_minutes or MINUTES, steps=tune_steps, seed=seed) if tune_model else None
    beside = Extras(list(read_cases(cases)) if cases else (), model, asked, source, tuning, teach)
    if words := cost_words(llm, asked):
        print(words, file=sys.stderr)
    with progress_bars() as progress:
        if store is not None:
            with open_store(store) as opened:
                done = fit_store(opened, beside, out=out, seed=seed, progress=progress)
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


def _check_logs(
    store: str | None,
    sessions: Path | None,
    cases: Path | None,
    out: Path | None,
    *,
    needs_log: bool,
    has_source: bool,
) -> None:
    from whimbrel.tools.errors import ConfigError

    if (store is not None and sessions is not None) or (store or sessions or cases) is None:
        raise ConfigError("name a log with --store, or with --sessions and --items, or give --cases alone")
    if store is None and out is None:
        raise ConfigError("name a folder for what is learned with --out")
    if has_source and store is None:
        raise ConfigError("--from is for a store: give --store too")
    if needs_log and (store or sessions) is None:
        raise ConfigError("--tune-model needs a log: give --store, or --sessions and --items")


def _open_model(spec: str, *, is_tuned: bool) -> "LanguageModel | None":
    """Open the model whose answer is weighed. One that is tuned is checked before anything takes long."""
    from whimbrel.agent.language_models.specs import open_model

    if not is_tuned:
        return open_model(spec, remember=True)
    from whimbrel.agent.learning.tuning.fit_tuned import require_tunable
    from whimbrel.agent.learning.tuning.train import require_tuning_packages

    require_tuning_packages()
    model = open_model("bundled" if spec == "none" else spec, remember=True)
    if model is not None:
        require_tunable(model)
    return model


def _teaching(log: str | Path | None) -> "TeachConfig":
    """Return how the text encoder is taught. There must be a log, and PyTorch."""
    from whimbrel.agent.learning.taught_encoder import TeachConfig, require_torch
    from whimbrel.tools.errors import ConfigError

    if log is None:
        raise ConfigError("--tune-encoder needs a log: give --store, or --sessions and --items")
    require_torch()
    return TeachConfig()
