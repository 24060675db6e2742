"""`whimbrel eval explanations`: measure whether explanations keep to the facts."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval explanations shop --n 700 --llm bundled --out explanations.jsonl")
def explanations(
    stores: Annotated[list[str], typer.Argument(metavar="STORE...", help="Stores, each with a different folder name.")],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="File for the answers, one per line. The same command resumes."),
    ],
    n: Annotated[int, typer.Option("--n", min=1, help="Least number of explanations per store.")] = 700,
    llm: LlmOption = "bundled",
    language: Annotated[Literal["en", "zh"], typer.Option("--language", help="Language of the explanations.")] = "en",
    k: Annotated[int, typer.Option("--k", min=1, help="Items per request.")] = 10,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure whether explanations keep to the facts.

    The events that an explanation cites must have happened. It may name only what the model was given.

    Users and moments of their histories are drawn at random. The language model words the reason of every item.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.terminal import console
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.evals.studies.explanations import Settings, explanation_table, measure_explanations

    settings = Settings(llm=llm, language=language, k=k, seed=seed)
    with progress_bars() as progress:
        model = open_model(llm, remember=False)  # a cached reply would make the times too short
        document = measure_explanations(stores, settings, llm=model, n=n, out=out, progress=progress)
    if json:
        print_json(document)
    else:
        console().print(explanation_table(document))
