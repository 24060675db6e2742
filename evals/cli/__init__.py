"""The commands that measure: `whimbrel eval ...`, `whimbrel models check` and `whimbrel models bench`."""

from collections.abc import Callable

import typer

from whimbrel.agent.cli.options import add_command

EVAL_HELP = (
    "Measure systems on logged histories: rank, log, published, boundaries, migration, shift, report. "
    "The other commands are studies of Whimbrel itself."
)


def register(app: typer.Typer, group: str | None = None) -> None:
    """Add the commands of this package to the command line.

    `whimbrel.agent.cli.main` imports this module by its name and calls this function.

    Args:
        app: The command `whimbrel`.
        group: The group of commands that the user runs; None for all groups. The commands of other groups are not
            built, since that would double the time of `whimbrel --help`.
    """
    if group not in (None, "eval", "models"):
        app.add_typer(typer.Typer(help=EVAL_HELP), name="eval")
        return
    # These are imported here, so that an import of this package does not load every command.
    from whimbrel.evals.cli.models import bench_model, check_model

    # `whimbrel models` exists already and gets two more commands.
    for registered in app.registered_groups:
        if registered.name == "models" and registered.typer_instance is not None:
            add_command(registered.typer_instance, check_model, "check")
            add_command(registered.typer_instance, bench_model, "bench")
    app.add_typer(build_eval_app(), name="eval")


def build_eval_app() -> typer.Typer:
    """Build `whimbrel eval`: first the commands for any system, then the studies of Whimbrel itself."""
    from whimbrel.evals.cli.acts import acts
    from whimbrel.evals.cli.agreement import agreement
    from whimbrel.evals.cli.boundaries import boundaries
    from whimbrel.evals.cli.cold_start import cold_start
    from whimbrel.evals.cli.cost import cost
    from whimbrel.evals.cli.cross_domain import cross_domain
    from whimbrel.evals.cli.damage import damage
    from whimbrel.evals.cli.defaults import build_defaults_app
    from whimbrel.evals.cli.dialogue import dialogue
    from whimbrel.evals.cli.durability import durability
    from whimbrel.evals.cli.explanations import explanations
    from whimbrel.evals.cli.fairness import fairness
    from whimbrel.evals.cli.forgetting import forgetting
    from whimbrel.evals.cli.fuzz import fuzz
    from whimbrel.evals.cli.headlines import headlines
    from whimbrel.evals.cli.http_load import http_load
    from whimbrel.evals.cli.images import images
    from whimbrel.evals.cli.leaks import leaks
    from whimbrel.evals.cli.lift import lift
    from whimbrel.evals.cli.lines import lines
    from whimbrel.evals.cli.load import load
    from whimbrel.evals.cli.log import log
    from whimbrel.evals.cli.made import build_made_app
    from whimbrel.evals.cli.migration import migration
    from whimbrel.evals.cli.planted import planted
    from whimbrel.evals.cli.published import published
    from whimbrel.evals.cli.rank import rank
    from whimbrel.evals.cli.report import report
    from whimbrel.evals.cli.results import results
    from whimbrel.evals.cli.scale import scale
    from whimbrel.evals.cli.self_boost import self_boost
    from whimbrel.evals.cli.shift import shift
    from whimbrel.evals.cli.stuffing import stuffing
    from whimbrel.evals.cli.talks import talks
    from whimbrel.evals.cli.taught import taught
    from whimbrel.evals.cli.transfer import transfer
    from whimbrel.evals.cli.tuned import tuned
    from whimbrel.evals.cli.validity import validity
    from whimbrel.evals.cli.wishes import wishes

    app = typer.Typer(help=EVAL_HELP, no_args_is_help=True, rich_markup_mode=None)
    # Help lists commands in this order.
    for command in (rank, log, published, boundaries, migration, shift, report, results):
        add_command(app, command)
    studies: dict[str, Callable[..., None]] = {
        "acts": acts,
        "agreement": agreement,
        "cold-start": cold_start,
        "cost": cost,
        "cross-domain": cross_domain,
        "damage": damage,
        "dialogue": dialogue,
        "durability": durability,
        "explanations": explanations,
        "fairness": fairness,
        "forgetting": forgetting,
        "fuzz": fuzz,
        "headlines": headlines,
        "http-load": http_load,
        "images": images,
        "leaks": leaks,
        "lift": lift,
        "lines": lines,
        "load": load,
        "planted": planted,
        "scale": scale,
        "self-boost": self_boost,
        "stuffing": stuffing,
        "talks": talks,
        "taught": taught,
        "transfer": transfer,
        "tuned": tuned,
        "validity": validity,
        "wishes": wishes,
    }
    for name, study in studies.items():
        add_command(app, study, name)
    app.add_typer(build_defaults_app(), name="defaults")
    app.add_typer(build_made_app(), name="made")
    return app
