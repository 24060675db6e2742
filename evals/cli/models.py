"""`whimbrel models check` and `bench`: what a language model does and how fast it is here."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json

SpecArgument = Annotated[str, typer.Argument(metavar="SPEC", help="A model spec: see `whimbrel models list`.")]


@example("whimbrel models check bundled; whimbrel models check gguf:model.gguf")
def check_model(spec: SpecArgument, json: JsonOption = False) -> None:
    """Load a model and see that it does what is asked of it; status 1 where it does not.

    Whether it answers in a schema, whether its likelihoods are those of direct evaluation, how tokens are counted, and
    how far the place of an option in the prompt decides its place in an order (0 not at all, 1 entirely), asked once
    and, turned round, twice.
    """
    from dataclasses import asdict

    from whimbrel.agent.display import terminal as show
    from whimbrel.evals.models import findings
    from whimbrel.evals.models.check import check

    found = []
    for finding in show.watched(lambda tell: check(spec, tell=tell), f"Checking {spec}"):
        found.append(finding)
        if not json:
            show.console().print(findings.finding(finding))
    if json:
        print_json({"model": spec, "findings": [asdict(finding) for finding in found]})
    if any(finding.ok is False for finding in found):
        raise typer.Exit(1)


@example("whimbrel models bench bundled")
def bench_model(spec: SpecArgument, json: JsonOption = False) -> None:
    """Time a model: reading, writing, candidates behind one prefix, whole requests.

    A local model stands beside bare llama.cpp doing the same in the same run: the ratio says how many times the bare
    time Whimbrel takes.
    """
    from dataclasses import asdict

    from whimbrel.agent.display import terminal as show
    from whimbrel.evals.models import findings
    from whimbrel.evals.models.bench import bench

    found = []
    for speed in show.watched(lambda tell: bench(spec, tell=tell), f"Timing {spec}"):
        found.append(speed)
        if not json:
            show.console().print(findings.speed(speed))
    if json:
        print_json({"model": spec, "speeds": [asdict(speed) | {"ratio": speed.ratio} for speed in found]})
