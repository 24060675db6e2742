"""`whimbrel eval made`: make up logs of which the truth is known."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, add_command, example, print_json
from whimbrel.evals.cli.options import SeedOption


def build_made_app() -> typer.Typer:
    """Build `whimbrel eval made`."""
    app = typer.Typer(
        help="Make up logs. They contain nothing of real people, and the truth about them is known.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    add_command(app, invoices)
    add_command(app, domain)
    return app


@example("whimbrel eval made invoices --out invoices.csv")
def invoices(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The CSV file to write.")],
    customers: Annotated[int, typer.Option("--customers", min=1, help="Number of customers.")] = 1500,
    items: Annotated[int, typer.Option("--items", min=500, help="Number of stock codes.")] = 3000,
    months: Annotated[int, typer.Option("--months", min=1, help="Months that the log covers.")] = 13,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Make up the invoices of a wholesaler of gifts.

    The file is as shops export such logs: without topics, with many similar descriptions, cancellations, postage, and
    lines without a customer. The interest of a fifth of the customers moves. Who, when and where to is written to a
    file beside FILE with the suffix .shifts.jsonl.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.invoices import InvoiceConfig, write_invoices

    config = InvoiceConfig(customers=customers, items=items, months=months, seed=seed)
    with progress_bars() as progress:
        written = write_invoices(config, out, progress=progress)
    if json:
        print_json(written)
    else:
        print(f"{written['log']}: {written['lines']:,} lines of {written['invoices']:,} invoices")
        print(f"{written['truth']}: {written['shifts']:,} shifts")


@example("whimbrel eval made domain health --out health.csv")
def domain(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="health, finance, or home (devices at home).")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The CSV file to write.")],
    users: Annotated[int, typer.Option("--users", min=2, help="Number of people.")] = 60,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Make up a log of a domain for which a policy is shipped.

    Each thing has the fields that the policy reads. The interest of every other person, whose id begins with `moves`,
    moves in the last two weeks.
    """
    from whimbrel.evals.studies.domain_logs import DOMAINS, write_domain_log

    if name not in DOMAINS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(DOMAINS)}")
    events = write_domain_log(name, out, users=users, seed=seed)
    if json:
        print_json({"log": str(out), "events": events, "users": users})
    else:
        print(f"{out}: {events:,} events of {users} people")
