"""`whimbrel eval tuned`: measure what a language model that was tuned on a log adds to a ranking."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, RememberOption, example, print_json
from whimbrel.evals.cli.options import AskedOption, KindOption, NamedSourcesArgument, SeedOption, candidate_kind


@example("whimbrel eval tuned games=sessions.jsonl,items.jsonl films=ml-100k --minutes 5 --keep adapters")
def tuned(
    sources: NamedSourcesArgument,
    llm: LlmOption = "bundled",
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="The longest time to tune on each log.")] = 5.0,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Tune for so many steps at most.")] = None,
    choices: Annotated[
        int, typer.Option("--choices", min=1, help="Choices of each log from which feature weights are learned.")
    ] = 1000,
    asked: AskedOption = 300,
    kind: KindOption = "given",
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Folder to keep the adapters in. The same command uses them again."),
    ] = None,
    remember: RememberOption = True,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure what tuning a language model on a log adds to the ranking of held-out people's choices.

    Each log is cut near its end. The model is tuned on the first part, without the people who are asked about, and
    their choices after the cut are ranked without a model, with the untuned one and with the tuned one.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.learning.tuning.train import TuneConfig
    from whimbrel.evals.studies.asked_choices import AskConfig
    from whimbrel.evals.studies.tuned import document_of, markdown, measure_tuned

    of_kind = candidate_kind(kind)
    config = AskConfig(llm, of_kind, choices, asked, 1, bool(remember), seed)
    tuning = TuneConfig(minutes=minutes, steps=steps, seed=seed)
    with progress_bars() as progress:
        lifts = measure_tuned(sources, config, tuning, keep=keep, progress=progress)
    if json:
        print_json({"llm": llm, "kind": kind, "logs": document_of(lifts)})
    else:
        print(markdown(lifts, of_kind))
