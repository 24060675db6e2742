"""`whimbrel eval`: the commands that measure, beside those of the agent."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from whimbrel.agent.cli import JsonOption, LlmOption, app, main, print_json

__all__ = ["main"]

eval_app = typer.Typer(help="Measure systems on logged histories.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(eval_app, name="eval")

CasesArgument = Annotated[Path, typer.Argument(metavar="CASES", help="A file of cases, one JSON document a line.")]
SystemOption = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        metavar="NAME,...",
        help="Which; by default all. Also a function as package.module:function, or a ranking file .jsonl.",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the run is kept; the same command goes on there.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all chance.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N cases.")]


@eval_app.command(
    "rank",
    epilog="Example: whimbrel eval rank cases.jsonl --system whimbrel,similarity,popularity --out run; "
    "whimbrel eval report run",
)
def eval_rank(
    cases: CasesArgument,
    system: SystemOption = None,
    llm: LlmOption = "bundled",
    out: OutOption = None,
    sessions: Annotated[
        Path | None,
        typer.Option("--sessions", metavar="FILE", help="A log to learn from: a JSON list of item ids a line."),
    ] = None,
    items: Annotated[
        Path | None, typer.Option("--items", metavar="FILE", help="Items of that log, one JSON document a line.")
    ] = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that rank side by side.")] = 1,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", help="Stop after this long; the same command goes on.")
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="Stop when hosted models have cost this much.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Rank the candidates of each case, without ever seeing which are relevant, and measure the rankings.

    Without --sessions systems learn from the histories of the cases. A run in --out is resumed where it stopped.
    """
    from whimbrel.agent.show import ingest_progress
    from whimbrel.evals.results import document_of, results_of
    from whimbrel.evals.runs import Limits, Plan, run
    from whimbrel.evals.systems import SYSTEMS, Settings

    plan = Plan(cases, _names(system) or tuple(SYSTEMS), Settings(seed, llm), sessions, items, limit)
    with _folder(out) as folder:
        with ingest_progress() as progress:
            limits = Limits(max_seconds, budget_usd)
            finished = run(plan, folder, limits=limits, workers=workers, progress=progress)
        for problem in finished.problems:
            print(f"whimbrel: {cases}: {problem}", file=sys.stderr)
        if not finished.whole:
            print(
                f"whimbrel: stopped after {finished.done} of {finished.total} rankings; the same command goes on",
                file=sys.stderr,
            )
        results = results_of(plan, folder)
        document = document_of(results, skipped=finished.skipped, problems=finished.problems)
        if out is not None:
            _write(folder / "results.json", document)
    if json:
        print_json(document)
    else:
        from whimbrel.agent.show import console
        from whimbrel.evals.tables import ranking_tables

        console().print(ranking_tables(document))


@eval_app.command("boundaries", epilog="Example: whimbrel eval boundaries sessions.jsonl --system whimbrel,similarity")
def eval_boundaries(
    cases: CasesArgument,
    system: SystemOption = None,
    llm: LlmOption = "bundled",
    out: OutOption = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """For neighbouring items of a session, how probably the intent changes between them, against what was labelled."""
    from whimbrel.agent.show import console, ingest_progress
    from whimbrel.evals.boundaries import BOUNDARY_SYSTEMS, measure_boundaries

    names = _names(system) or tuple(BOUNDARY_SYSTEMS)
    with ingest_progress() as progress:
        document = measure_boundaries(cases, names, llm=llm, seed=seed, limit=limit, out=out, progress=progress)
    for problem in document["cases"]["wrong lines"]:
        print(f"whimbrel: {cases}: {problem}", file=sys.stderr)
    if json:
        print_json(document)
    else:
        from whimbrel.evals.tables import boundary_table

        console().print(boundary_table(document))


@eval_app.command("report", epilog="Example: whimbrel eval report run && open run/report.html")
def eval_report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where a run was kept with --out.")],
    json: JsonOption = False,
) -> None:
    """Write a run as one page that needs no network (report.html), as Markdown and as CSV, into its folder."""
    from whimbrel.evals.report import write_report

    written = write_report(folder)
    if json:
        print_json({name: str(path) for name, path in vars(written).items()})
    else:
        for path in vars(written).values():
            print(path)


def _names(given: list[str] | None) -> tuple[str, ...]:
    """Names, once each, from options that may hold several between commas."""
    return tuple(dict.fromkeys(name.strip() for part in given or () for name in part.split(",") if name.strip()))


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    import tempfile

    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="whimbrel-") as folder:
        yield Path(folder)


def _write(path: Path, document: dict[str, Any]) -> None:
    import json

    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    partial.replace(path)


if __name__ == "__main__":
    main()
