"""`whimbrel eval defaults`: learn the weights that are shipped with the agent."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, RememberOption, add_command, example, print_json
from whimbrel.evals.cli.options import (
    AskedOption,
    ChoicesOption,
    DirectionsOption,
    KindOption,
    MapOption,
    NamedSourcesArgument,
    SeedOption,
    candidate_kind,
)


def build_defaults_app() -> typer.Typer:
    """Build `whimbrel eval defaults`."""
    app = typer.Typer(
        help="Learn the weights that are shipped with the agent. They come from several logs, which count equally.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    add_command(app, topics)
    add_command(app, fusion)
    add_command(app, model)
    add_command(app, shift)
    return app


@example("whimbrel eval defaults topics movielens=ml-100k music=lastfm-2k --out next_topics.json")
def topics(
    sources: NamedSourcesArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File for the weights.")],
    map: MapOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn the weights of `next_topics.json` from the first part of each log."""
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.defaults import learn_topics
    from whimbrel.tools.sources.table_options import parse_map

    with progress_bars() as progress:
        learned = learn_topics(sources, out, mapped=parse_map(map or []), seed=seed, progress=progress)
    if json:
        print_json(learned.model_dump(mode="json"))
    else:
        print(learned.model_dump_json(indent=1))


@example("whimbrel eval defaults fusion films=ml-100k games=sessions.jsonl,items.jsonl --out shipped_weights.json")
def fusion(
    sources: NamedSourcesArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File for the weights.")],
    choices: Annotated[
        int, typer.Option("--choices", min=1, help="Choices to draw from each log, for each kind of candidates.")
    ] = 2000,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn the weights of features and retrieval channels of `shipped_weights.json`.

    Beside --out, OUT.without-NAME.json is learned from all logs but one, to be tested on that one.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.defaults import FusionConfig, learn_fusions

    with progress_bars() as progress:
        files = learn_fusions(sources, out, FusionConfig(choices, seed), progress=progress)
    if json:
        print_json({"files": [str(file) for file in files]})
    else:
        for file in files:
            print(file)


@example("whimbrel eval defaults model films=ml-100k shop=sales.csv --weights shipped_weights.json --llm openai:gpt-5")
def model(
    sources: NamedSourcesArgument,
    weights: Annotated[Path, typer.Option("--weights", metavar="FILE", help="File of weights to complete.")],
    llm: LlmOption = "bundled",
    kind: KindOption = "cold",
    choices: ChoicesOption = 1000,
    asked: AskedOption = 200,
    directions: DirectionsOption = 2,
    remember: RememberOption = True,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn what a language model of this tier is worth, and write it into a file of weights."""
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.asked_choices import AskConfig
    from whimbrel.evals.studies.defaults import learn_model

    config = AskConfig(llm, candidate_kind(kind), choices, asked, directions, bool(remember), seed)
    with progress_bars() as progress:
        learned = learn_model(sources, weights, config, progress=progress)
    if json:
        print_json(learned)
    else:
        print(", ".join(f"{name} {weight:.2f}" for name, weight in learned.items()) or "no weight: it adds nothing")


@example("whimbrel eval defaults shift films=ml-100k shop=sales.csv --out shift_fusion.json --llm openai:gpt-5")
def shift(
    sources: NamedSourcesArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File for the weights.")],
    llm: LlmOption = "bundled",
    kind: KindOption = "given",
    choices: ChoicesOption = 300,
    asked: AskedOption = 200,
    remember: RememberOption = True,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn the weights of `shift_fusion.json`: how far to trust a model that reads, beside the statistics.

    Each log is measured with weights from all other logs. A Brier score is a mean squared error of probabilities.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.asked_choices import AskConfig
    from whimbrel.evals.studies.shift_fusion import document_of, learn_shift_fusion, markdown

    config = AskConfig(llm, candidate_kind(kind), choices, asked, remember=bool(remember), seed=seed)
    with progress_bars() as progress:
        measured = learn_shift_fusion(sources, out, config, progress=progress)
    if json:
        print_json(document_of(measured))
    else:
        print(markdown(measured))
