"""`whimbrel eval published`: measure systems as papers do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import (
    OutOption,
    SecondsOption,
    SeedOption,
    SystemOption,
    WorkersOption,
    split_names,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

METRICS = ("ndcg@10", "recall@10")


@example(
    "whimbrel eval published ml-1m --path ml-1m --system popularity,itemknn,sasrec --out run",
    "whimbrel eval published beauty --path reviews_Beauty_5.json.gz --system sasrec --users 2000",
)
def published(
    name: Annotated[str, typer.Argument(metavar="NAME", help="ml-1m or beauty.")],
    path: Annotated[
        Path,
        typer.Option(
            "--path",
            help="ml-1m: the folder with ratings.dat and movies.dat. beauty: Amazon reviews as JSON lines, or a CSV "
            "file with the columns user,item,rating,timestamp.",
        ),
    ],
    system: SystemOption = None,
    users: Annotated[
        int | None, typer.Option("--users", min=1, help="Use the cases of at most this many users, drawn at random.")
    ] = None,
    llm: LlmOption = "bundled",
    out: OutOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    max_seconds: SecondsOption = None,
    json: JsonOption = False,
) -> None:
    """Measure systems on a published data set by leave-one-out, beside the figures that others published.

    The last event of each user is predicted. All other events of all users are learned from. All items are ranked that
    the user does not have. Users and items of Beauty with fewer than five events are left out.

    This protocol leaks the future: systems learn from events of other people that came after the predicted one.
    `eval log` does not. Use this command to compare with papers, and `eval log` to estimate real use.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.terminal import console
    from whimbrel.evals.data.published import DATA_SETS, read_published, write_leave_one_out
    from whimbrel.evals.runs.measure import Execution, measure_plans, run_folder
    from whimbrel.evals.runs.plan import Plan
    from whimbrel.evals.runs.run import Limits
    from whimbrel.evals.systems.protocol import Settings
    from whimbrel.evals.systems.registry import SYSTEMS
    from whimbrel.tools.workers import Workers

    with progress_bars() as progress:
        log = read_published(name, path, progress)
    size = {"users": len(log.user_ids), "items": len(log.items), "events": len(log.time), "rejected": log.rejected}
    facts = {"log": size, "published": [asdict(figure) for figure in DATA_SETS[name].figures]}
    with run_folder(out, in_parts=False) as folder:
        fold = write_leave_one_out(log, folder, users=users, seed=seed)
        names = split_names(system) or tuple(SYSTEMS)
        plan = Plan(fold.cases, names, Settings(seed, llm), fold.sessions, fold.items)
        document = measure_plans([(plan, folder)], folder, Execution(Limits(max_seconds), Workers(workers)), facts)
    if json:
        print_json(document)
    else:
        console().print(_tables(document))


def _tables(document: Mapping[str, Any]) -> "RenderableType":
    """Show the results of the systems, then the published figures with their sources."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    measured = Table(box=None, pad_edge=False)
    others = Table(box=None, pad_edge=False)
    for table, heads in ((measured, ("system", "n", *METRICS)), (others, ("published", *METRICS, "source"))):
        for head in heads:
            table.add_column(head, justify="right" if head in ("n", *METRICS) else "left")
    systems = document["system"]
    for name in sorted(systems, key=lambda name: -(systems[name]["ndcg@10"] or -1)):
        row = systems[name]
        measured.add_row(name, str(row["n"]), *(_with_interval(row[metric], row[f"{metric}_ci"]) for metric in METRICS))
    for row in document["published"]:
        others.add_row(row["system"], _four(row["ndcg_at_10"]), _four(row["recall_at_10"]), row["source"])
    notes = [Text(f"Skipped: {name}: {reason}", style="dim") for name, reason in document["skipped"].items()]
    size = "The log has {users:,} users, {items:,} items and {events:,} events. {rejected:,} rows were rejected."
    note = (
        f"\n{size.format(**document['log'])}\n"
        "Intervals: 95%, bootstrap over users. With one item to find, recall@10 is the hit rate."
    )
    return Group(measured, "", others, Text(note, style="dim"), *notes)


def _with_interval(value: float | None, ends: Sequence[float | None]) -> str:
    return f"{_four(value)} [{_four(ends[0])}, {_four(ends[1])}]"


def _four(value: float | None) -> str:
    """Return a number with four decimals, as papers print them."""
    return "-" if value is None else f"{value:.4f}".removeprefix("0")
