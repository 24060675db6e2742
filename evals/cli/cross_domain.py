"""`whimbrel eval cross-domain`: learn boundaries of intent in one domain and test them in another."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval cross-domain clothing.jsonl electronic.jsonl")
def cross_domain(
    first: Annotated[Path, typer.Argument(metavar="FILE", help="Boundary cases of one domain, as for `boundaries`.")],
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="Boundary cases of another domain.")],
    llm: Annotated[
        str,
        typer.Option(
            "--llm", metavar="SPEC", help="Also measure what this local model's likelihoods of titles add (slow)."
        ),
    ] = "none",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Use only the first N sessions of each file.")
    ] = None,
    seed: SeedOption = 0,
    weights: Annotated[
        bool, typer.Option("--weights", help="Only print the weights that are learned from both files together.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Learn changes of intent in one domain, test in another.

    Both directions are measured. Only the metrics read the labels of the domain under test.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.evals.studies.cross_domain import (
        learn_without_gains,
        markdown,
        measure_both_directions,
        read_domain,
    )
    from whimbrel.tools.errors import ConfigError

    model = open_model(llm, tell=lambda words: print(words, file=sys.stderr))
    # Some hosted models return only text.
    if model is not None and not model.scores:
        raise ConfigError(f"{llm!r} gives no likelihoods: give a local model, such as bundled")
    with progress_bars() as progress:
        domains = [read_domain(path, model=model, limit=limit, progress=progress) for path in (first, second)]
        if weights:
            segmenter = learn_without_gains(domains)
        else:
            document = measure_both_directions(domains[0], domains[1], seed=seed, progress=progress)
    if weights:
        print(segmenter)
    elif json:
        print_json(document)
    else:
        print(markdown(document))
