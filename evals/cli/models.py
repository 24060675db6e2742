"""`whimbrel models check` and `bench`: check that a language model works with Whimbrel, and time it."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json

SpecArgument = Annotated[str, typer.Argument(metavar="SPEC", help="A model spec: see `whimbrel models list`.")]


@example("whimbrel models check bundled; whimbrel models check gguf:model.gguf")
def check_model(spec: SpecArgument, json: JsonOption = False) -> None:
    """Load a model and check that it works with Whimbrel.

    The checks are: whether the model answers in a schema, whether its likelihoods equal those of direct evaluation, and
    how it counts tokens. A last check asks how far the position of an option in the prompt decides its place in the
    model's order (0: not at all, 1: entirely). This is measured for the given options, and for the mean of the given
    and the reversed options. The exit status is 1 if a check fails.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.progress import watched
    from whimbrel.agent.display.terminal import console
    from whimbrel.evals.models import findings
    from whimbrel.evals.models.check import check

    results = []
    for finding in watched(lambda tell: check(spec, tell=tell), f"Checking {spec}"):
        results.append(finding)
        if not json:
            console().print(findings.finding_line(finding))
    if json:
        print_json({"model": spec, "findings": [asdict(finding) for finding in results]})
    if any(finding.ok is False for finding in results):
        raise typer.Exit(1)


@example("whimbrel models bench bundled")
def bench_model(spec: SpecArgument, json: JsonOption = False) -> None:
    """Time a model: reading, writing, candidates after one prompt, whole requests.

    A local model is compared with bare llama.cpp, which makes the same calls in the same run. The ratio is the time of
    Whimbrel divided by the time of bare llama.cpp.
    """
    from dataclasses import asdict

    from whimbrel.agent.display.progress import watched
    from whimbrel.agent.display.terminal import console
    from whimbrel.evals.models import findings
    from whimbrel.evals.models.bench import bench

    results = []
    for speed in watched(lambda tell: bench(spec, tell=tell), f"Timing {spec}"):
        results.append(speed)
        if not json:
            console().print(findings.speed_line(speed))
    if json:
        print_json({"model": spec, "speeds": [asdict(speed) | {"ratio": speed.ratio} for speed in results]})
