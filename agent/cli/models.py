"""`whimbrel models`: list the language models that can be used, and fetch one."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, add_command, example, print_json


def build_app() -> typer.Typer:
    """Build `whimbrel models`. Other packages may add commands to it. `whimbrel.evals` adds `check` and `bench`."""
    app = typer.Typer(help="Language models that can be used.", no_args_is_help=True, rich_markup_mode=None)
    add_command(app, list_models, "list")
    add_command(app, pull, "pull")
    return app


@example("whimbrel models list")
def list_models(json: JsonOption = False) -> None:
    """List the model specs that --llm takes, those of other packages last."""
    from whimbrel.agent.language_models.specs import list_specs

    specs = list_specs()
    if json:
        print_json({"models": [{"spec": spec, "description": words} for spec, words in specs.items()]})
        return
    for spec, words in specs.items():
        print(f"{spec:<24} {words}")


@example("whimbrel models pull hf:bartowski/SmolLM2-360M-Instruct-GGUF:SmolLM2-360M-Instruct-Q8_0.gguf")
def pull(
    spec: Annotated[str, typer.Argument(metavar="hf:REPO:FILE", help="A GGUF file of a Hugging Face repository.")],
    sha256: Annotated[str, typer.Option("--sha256", metavar="DIGEST", help="SHA-256 that the file must have.")] = "",
    json: JsonOption = False,
) -> None:
    """Fetch a model and verify it. Run again, it goes on where a download was cut off."""
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.files import hub

    kind, _, rest = spec.partition(":")
    if kind != "hf" or rest.count(":") != 1:
        raise ConfigError(f"{spec!r} names no file of a hub: give hf:REPO:FILE")
    pulled = hub.pull(*rest.split(":"), sha256=sha256)
    if json:
        print_json({"path": str(pulled.path), "sha256": pulled.sha256, "verified_by": pulled.verified_by})
    else:
        print(f"{pulled.path}\nSHA-256 {pulled.sha256} ({pulled.verified_by})\nUse it with --llm {spec}")
