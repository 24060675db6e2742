"""The commands that measure: `whimbrel eval ...` and two of `whimbrel models`."""

import typer

from whimbrel.agent.cli.options import add_command


def register(app: typer.Typer) -> None:
    """Add the commands of this package to the command line."""
    from whimbrel.evals.cli.commands import eval_app
    from whimbrel.evals.cli.models import bench_model, check_model

    for group in app.registered_groups:
        if group.name == "models" and group.typer_instance is not None:
            add_command(group.typer_instance, check_model, "check")
            add_command(group.typer_instance, bench_model, "bench")
    app.add_typer(eval_app, name="eval")
