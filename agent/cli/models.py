"""`whimbrel models`: the commands about language models, beside those of the agent."""

from typing import Annotated

import typer

from whimbrel.agent.cli import JsonOption, app, print_json

models_app = typer.Typer(help="Language models that can be used.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")

SpecArgument = Annotated[str, typer.Argument(metavar="SPEC", help="A model spec: see `whimbrel models list`.")]


@models_app.command("list", epilog="Example: whimbrel models list")
def models_list(json: JsonOption = False) -> None:
    """List the model specs that --llm takes."""
    from whimbrel.agent.language_models.specs import SPECS

    if json:
        print_json({"models": [{"spec": spec, "description": words} for spec, words in SPECS.items()]})
        return
    for spec, words in SPECS.items():
        print(f"{spec:<24} {words}")


@models_app.command("check", epilog="Example: whimbrel models check bundled; whimbrel models check gguf:model.gguf")
def models_check(spec: SpecArgument, json: JsonOption = False) -> None:
    """Load a model and see that it does what is asked of it; status 1 where it does not.

    Whether it answers in a schema, whether its likelihoods are those of direct evaluation, how tokens are counted, and
    how far the place of an option in the prompt decides its place in an order (0 not at all, 1 entirely), asked once
    and, turned round, twice.
    """
    from dataclasses import asdict

    from whimbrel.agent import show
    from whimbrel.agent.language_models.check import check

    found = []
    for finding in show.watched(lambda tell: check(spec, tell=tell), f"Checking {spec}"):
        found.append(finding)
        if not json:
            show.console().print(show.finding(finding))
    if json:
        print_json({"model": spec, "findings": [asdict(finding) for finding in found]})
    if any(finding.ok is False for finding in found):
        raise typer.Exit(1)


@models_app.command("bench", epilog="Example: whimbrel models bench bundled")
def models_bench(spec: SpecArgument, json: JsonOption = False) -> None:
    """Time a model: reading, writing, candidates behind one prefix, whole requests.

    A local model stands beside bare llama.cpp doing the same in the same run: the ratio says how many times the bare
    time Whimbrel takes.
    """
    from dataclasses import asdict

    from whimbrel.agent import show
    from whimbrel.agent.language_models.bench import bench

    found = []
    for speed in show.watched(lambda tell: bench(spec, tell=tell), f"Timing {spec}"):
        found.append(speed)
        if not json:
            show.console().print(show.speed(speed))
    if json:
        print_json({"model": spec, "speeds": [asdict(speed) | {"ratio": speed.ratio} for speed in found]})


@models_app.command(
    "pull",
    epilog="Example: whimbrel models pull hf:bartowski/SmolLM2-360M-Instruct-GGUF:SmolLM2-360M-Instruct-Q8_0.gguf",
)
def models_pull(
    spec: Annotated[str, typer.Argument(metavar="hf:REPO:FILE", help="A GGUF file of a Hugging Face repository.")],
    sha256: Annotated[str, typer.Option("--sha256", metavar="DIGEST", help="What the file's SHA-256 must be.")] = "",
    json: JsonOption = False,
) -> None:
    """Fetch a model and verify it. A download that was cut off goes on where it stopped when run again."""
    from whimbrel.agent.language_models.hub import pull
    from whimbrel.tools.errors import ConfigError

    kind, _, rest = spec.partition(":")
    if kind != "hf" or rest.count(":") != 1:
        raise ConfigError(f"{spec!r} names no file of a hub: give hf:REPO:FILE")
    pulled = pull(*rest.split(":"), sha256=sha256)
    if json:
        print_json({"path": str(pulled.path), "sha256": pulled.sha256, "verified_by": pulled.verified_by})
    else:
        print(f"{pulled.path}\nSHA-256 {pulled.sha256} ({pulled.verified_by})\nUse it with --llm {spec}")
