"""`whimbrel eval log`: measure systems on a whole log."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, RememberOption, example, parse_at
from whimbrel.evals.cli.options import (
    BudgetOption,
    MapOption,
    OutOption,
    RayOption,
    SecondsOption,
    SeedOption,
    SystemOption,
    WorkersOption,
    split_names,
)


@example("whimbrel eval log --dataset movielens --path ml-100k --protocol leave-last-out --out run")
def log(
    path: Annotated[
        str | None, typer.Option("--path", metavar="DIR", help="The log: a file, a folder, or `completejourney`.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Format of the log, as for `ingest`.")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="DIR", help="Use the log of this store instead of --path.")
    ] = None,
    map: MapOption = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="leave-last-out, time-split or next-session.")
    ] = "leave-last-out",
    candidates: Annotated[
        str,
        typer.Option(
            "--candidates",
            help="catalogue: rank all items. uniform or popularity: rank the relevant items and 99 sampled ones.",
        ),
    ] = "catalogue",
    begin: Annotated[
        str | None,
        typer.Option(
            "--begin",
            metavar="TIME",
            help="Events before this time are only learned from. By default, these are the first half of the events.",
        ),
    ] = None,
    refits: Annotated[int, typer.Option("--refits", min=1, help="Number of folds. Systems learn again in each.")] = 5,
    users: Annotated[
        int | None, typer.Option("--users", min=1, help="Use at most this many users, drawn at random.")
    ] = None,
    system: SystemOption = None,
    llm: LlmOption = "bundled",
    out: OutOption = None,
    remember: RememberOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    max_seconds: SecondsOption = None,
    budget_usd: BudgetOption = None,
    json: JsonOption = False,
) -> None:
    """Cut a log into cases and measure systems on them.

    Systems see the log as of the time of each case. In each fold they learn only from events before its first case.
    Items that a user already interacted with are not ranked.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.cli.run_plans import run_plans
    from whimbrel.evals.data.folds import Protocol, write_folds
    from whimbrel.evals.data.logs import read_log, read_store
    from whimbrel.evals.runs.measure import Execution, run_folder
    from whimbrel.evals.runs.plan import Plan
    from whimbrel.evals.runs.run import Limits
    from whimbrel.evals.systems.protocol import Settings
    from whimbrel.evals.systems.registry import SYSTEMS
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.table_options import parse_map
    from whimbrel.tools.workers import Workers

    # The data of completejourney comes with a package, so it has no path.
    if (path is None and dataset != "completejourney") == (store is None):
        raise ConfigError("give the log with --path (and --dataset), or with --store")
    with progress_bars() as progress:
        source = None if store else open_source(path or "completejourney", format=dataset, mapped=parse_map(map or []))
        whole = read_log(source, progress) if source else read_store(store or "")
    cut = Protocol(protocol, candidates, refits, begin=parse_at(begin, "--begin"), users=users, seed=seed)
    with run_folder(out, in_parts=True) as folder:
        names = split_names(system) or tuple(SYSTEMS)
        parts = [
            (
                Plan(fold.cases, names, Settings(seed, llm, remember=remember), fold.sessions, fold.items),
                fold.cases.parent,
            )
            for fold in write_folds(whole, cut, folder)
        ]
        run_plans(parts, folder, Execution(Limits(max_seconds, budget_usd), Workers(workers, ray)), json=json)
