"""`whimbrel eval defaults`: learn the weights that are shipped with the agent."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, add_command, example, print_json
from whimbrel.evals.cli.options import MapOption, NamedSourcesArgument, SeedOption


def build_defaults_app() -> typer.Typer:
    """Build `whimbrel eval defaults`."""
    app = typer.Typer(
        help="Learn the weights that are shipped with the agent. They come from several logs, which count equally.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    add_command(app, topics)
    add_command(app, fusion)
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
    from whimbrel.tools.sources.tables import parse_map

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
    llm: LlmOption = "bundled",
    choices: Annotated[
        int, typer.Option("--choices", min=1, help="Choices to draw from each log, for each kind of candidates.")
    ] = 2000,
    asked: Annotated[
        int, typer.Option("--asked", min=1, help="Choices of each kind that the language model is asked about.")
    ] = 150,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn the weights of `shipped_weights.json`, among them that of the language model's likelihood.

    Beside --out, OUT.without-NAME.json is learned from all logs but one, to be tested on that one. Replies of the model
    are cached on disk, so the same command resumes.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.defaults import FusionConfig, learn_fusions

    with progress_bars() as progress:
        files = learn_fusions(sources, out, FusionConfig(llm, choices, asked, seed), progress=progress)
    if json:
        print_json({"files": [str(file) for file in files]})
    else:
        for file in files:
            print(file)
