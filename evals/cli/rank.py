"""`whimbrel eval rank`: measure systems on a file of cases."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, RememberOption, example
from whimbrel.evals.cli.options import (
    BudgetOption,
    CasesArgument,
    LimitOption,
    OutOption,
    RayOption,
    SecondsOption,
    SeedOption,
    SystemOption,
    WorkersOption,
    split_names,
)


@example(
    "whimbrel eval rank cases.jsonl --system whimbrel,similarity,popularity --out run",
    "whimbrel eval report run",
)
def rank(
    cases: CasesArgument,
    system: SystemOption = None,
    llm: LlmOption = "bundled",
    out: OutOption = None,
    sessions: Annotated[
        Path | None,
        typer.Option(
            "--sessions", metavar="FILE", help="A log to learn from, with one JSON list of item ids per line."
        ),
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="The items of that log, one JSON document per line.")
    ] = None,
    fitted: Annotated[
        Path | None,
        typer.Option("--fitted", metavar="FITTED", help="The folder that `whimbrel fit --out` wrote, for `whimbrel`."),
    ] = None,
    crossfit: Annotated[
        int | None,
        typer.Option(
            "--crossfit",
            min=2,
            metavar="PARTS",
            help="Split the users into this many parts. Rank each part after a fit on the cases of all other parts.",
        ),
    ] = None,
    limit: LimitOption = None,
    remember: RememberOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    max_seconds: SecondsOption = None,
    budget_usd: BudgetOption = None,
    json: JsonOption = False,
) -> None:
    """Measure systems on a file of cases.

    Each system ranks the candidates of each case. No system is shown which candidates are relevant.

    Without --sessions, systems learn from the histories of the cases. With --crossfit, they also learn from what the
    users of all other parts chose. If a run in --out was stopped, the same command resumes it.
    """
    from whimbrel.agent.learning.cases import Case
    from whimbrel.agent.learning.fitted_log import check_fitted_log, count_learned_cases
    from whimbrel.evals.cli.run_plans import run_plans
    from whimbrel.evals.runs.crossfit import fit_parts
    from whimbrel.evals.runs.measure import Execution, run_folder
    from whimbrel.evals.runs.plan import Plan
    from whimbrel.evals.runs.run import Limits
    from whimbrel.evals.systems.protocol import Settings
    from whimbrel.evals.systems.registry import SYSTEMS
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.workers import Workers

    if fitted and crossfit:
        raise ConfigError("--crossfit fits each part itself: leave out --fitted")
    # An absolute path, since `eval report` may run in another folder.
    settings = Settings(seed, llm, str(fitted.resolve()) if fitted else "", remember)
    plan = Plan(cases, split_names(system) or tuple(SYSTEMS), settings, sessions, items, limit)
    if fitted:
        check_fitted_log(fitted)
        # A case that the fit learned from cannot test the fit.
        if learned := count_learned_cases(fitted, (case.blind for case in plan.read() if isinstance(case, Case))):
            raise ConfigError(
                f"{str(fitted)!r} was fitted on {learned} of these cases: rank other cases, or use --crossfit instead "
                "of --fitted"
            )
    # A run in parts and a run of all cases cannot share a folder.
    with run_folder(out, in_parts=crossfit is not None) as folder:
        parts = fit_parts(plan, crossfit, folder) if crossfit else [(plan, folder)]
        run_plans(parts, folder, Execution(Limits(max_seconds, budget_usd), Workers(workers, ray)), json=json)
