"""`whimbrel eval`: the commands that measure, beside those of the agent."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, parse_at, print_json

if TYPE_CHECKING:
    from whimbrel.evals.runs.plan import Plan
    from whimbrel.evals.runs.run import Limits

eval_app = typer.Typer(help="Measure systems on logged histories.", no_args_is_help=True, rich_markup_mode=None)

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
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of all chance.")]
RayOption = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="A Ray cluster to spread the workers over; `local` starts one here."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that rank side by side.")]
SecondsOption = Annotated[
    float | None, typer.Option("--max-seconds", help="Stop after this long; the same command goes on.")
]
BudgetOption = Annotated[
    float | None, typer.Option("--budget-usd", help="Stop when hosted models have cost this much.")
]
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
    fitted: Annotated[
        Path | None, typer.Option("--fitted", metavar="FITTED", help="What `whimbrel fit --out` wrote, for `whimbrel`.")
    ] = None,
    crossfit: Annotated[
        int | None,
        typer.Option(
            "--crossfit",
            min=2,
            metavar="PARTS",
            help="Rank each part of the users after a fit on the cases of the others.",
        ),
    ] = None,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    max_seconds: SecondsOption = None,
    budget_usd: BudgetOption = None,
    json: JsonOption = False,
) -> None:
    """Rank the candidates of each case, without ever seeing which are relevant, and measure the rankings.

    Without --sessions systems learn from the histories of the cases, with --crossfit also from what the cases of other
    users chose. A run in --out is resumed where it stopped.
    """
    from whimbrel.agent.learning.cases import Case
    from whimbrel.agent.learning.fitted_log import check_fitted_log, taught_cases
    from whimbrel.evals.runs.crossfit import fit_parts
    from whimbrel.evals.runs.plan import Plan
    from whimbrel.evals.runs.run import Limits
    from whimbrel.evals.systems import SYSTEMS, Settings
    from whimbrel.tools.errors import ConfigError

    if fitted and crossfit:
        raise ConfigError("--crossfit fits anew: leave out --fitted")
    settings = Settings(seed, llm, str(fitted.resolve()) if fitted else "")
    plan = Plan(cases, _names(system) or tuple(SYSTEMS), settings, sessions, items, limit)
    if fitted:
        check_fitted_log(fitted)
        if taught := taught_cases(fitted, (case.blind for case in plan.read() if isinstance(case, Case))):
            raise ConfigError(
                f"{str(fitted)!r} was taught what is relevant in {taught} of these cases: rank others, or "
                "leave it out for --crossfit"
            )
    with _folder(out, in_parts=crossfit is not None) as folder:
        parts = fit_parts(plan, crossfit, folder) if crossfit else [(plan, folder)]
        _run(parts, folder, Limits(max_seconds, budget_usd), workers, ray, json)


def _run(
    parts: "Sequence[tuple[Plan, Path]]", folder: Path, limits: "Limits", workers: int, ray: str | None, json: bool
) -> None:
    """Run plans one after the other, each in its folder, and show what came of all of them."""
    from whimbrel.agent.display.terminal import console, ingest_progress
    from whimbrel.evals.reports.tables import ranking_tables
    from whimbrel.evals.runs.results import document_of, results_of
    from whimbrel.evals.runs.run import run

    done = total = 0
    skipped: dict[str, str] = {}
    problems: list[object] = []
    for number, (plan, place) in enumerate(parts, start=1):
        if len(parts) > 1:
            print(f"Fold {number} of {len(parts)}", file=sys.stderr)
        with ingest_progress() as progress:
            finished = run(plan, place, limits=limits, workers=workers, ray=ray, progress=progress)
        for problem in finished.problems:
            print(f"whimbrel: {plan.cases}: {problem}", file=sys.stderr)
        done, total = done + finished.done, total + finished.total
        skipped |= finished.skipped
        problems += finished.problems
        if not finished.whole:
            break
    if done < total:
        print(f"whimbrel: stopped after {done} of {total} rankings; the same command goes on", file=sys.stderr)
    document = document_of(results_of(parts[:number]), skipped=skipped, problems=problems)
    _write(folder / "results.json", document)
    if json:
        print_json(document)
    else:
        console().print(ranking_tables(document))


@eval_app.command(
    "log",
    epilog="Example: whimbrel eval log --dataset movielens --path ml-100k --protocol leave-last-out --out run",
)
def eval_log(
    path: Annotated[
        str | None, typer.Option("--path", metavar="DIR", help="The log: a file, a folder, or `completejourney`.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="NAME", help="Its format, as for `ingest`."),
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", metavar="DIR", help="A store to take the log from, instead of --path.")
    ] = None,
    map: Annotated[list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="As for `ingest`.")] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="leave-last-out, time-split or next-session.")
    ] = "leave-last-out",
    candidates: Annotated[
        str, typer.Option("--candidates", help="catalogue, or 99 drawn beside the relevant: uniform or popularity.")
    ] = "catalogue",
    begin: Annotated[
        str | None, typer.Option("--begin", metavar="TIME", help="Only learn from what lies before; else half the log.")
    ] = None,
    refits: Annotated[int, typer.Option("--refits", min=1, help="Folds, each of which learns anew.")] = 5,
    users: Annotated[int | None, typer.Option("--users", min=1, help="At most so many users, drawn at random.")] = None,
    system: SystemOption = None,
    llm: LlmOption = "bundled",
    out: OutOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    max_seconds: SecondsOption = None,
    budget_usd: BudgetOption = None,
    json: JsonOption = False,
) -> None:
    """Make cases of a whole log and measure systems on them.

    Everything is as of a case's time: a fold learns only from what happened before its first case. What a user met
    before is not ranked.
    """
    from whimbrel.agent.display.terminal import ingest_progress
    from whimbrel.evals.data.logs import Protocol, read_log, read_store, write_folds
    from whimbrel.evals.runs.plan import Plan
    from whimbrel.evals.runs.run import Limits
    from whimbrel.evals.systems import SYSTEMS, Settings
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.tables import parse_map

    if (path is None and dataset != "completejourney") == (store is None):
        raise ConfigError("give the log with --path (and --dataset), or with --store")
    with ingest_progress() as progress:
        source = None if store else open_source(path or "completejourney", format=dataset, mapped=parse_map(map or []))
        log = read_log(source, progress) if source else read_store(store or "")
    asked = Protocol(protocol, candidates, refits, begin=parse_at(begin, "--begin"), users=users, seed=seed)
    with _folder(out, in_parts=True) as folder:
        folds = write_folds(log, asked, folder)
        names = _names(system) or tuple(SYSTEMS)
        parts = [
            (Plan(fold.cases, names, Settings(seed, llm), fold.sessions, fold.items), fold.cases.parent)
            for fold in folds
        ]
        _run(parts, folder, Limits(max_seconds, budget_usd), workers, ray, json)


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
    from whimbrel.agent.display.terminal import console, ingest_progress
    from whimbrel.evals.studies.boundaries import BOUNDARY_SYSTEMS, measure_boundaries

    names = _names(system) or tuple(BOUNDARY_SYSTEMS)
    with ingest_progress() as progress:
        document = measure_boundaries(cases, names, llm=llm, seed=seed, limit=limit, out=out, progress=progress)
    for problem in document["cases"]["wrong lines"]:
        print(f"whimbrel: {cases}: {problem}", file=sys.stderr)
    if json:
        print_json(document)
    else:
        from whimbrel.evals.reports.tables import boundary_table

        console().print(boundary_table(document))


@eval_app.command("migration", epilog="Example: whimbrel eval migration sales.csv --map shelf=topics --window-days 14")
def eval_migration(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A log in a format of `ingest`, or a file of cases (.jsonl).")
    ],
    format: Annotated[str | None, typer.Option("--format", metavar="NAME", help="As for `ingest`.")] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is which field; repeat it.")
    ] = None,
    window_days: Annotated[float, typer.Option("--window-days", help="Length of a window, for a log with times.")] = 14,
    window_events: Annotated[
        int, typer.Option("--window-events", min=1, help="Events of a window, for cases without times.")
    ] = 5,
    least_events: Annotated[int, typer.Option("--least-events", min=1, help="Leave out people with fewer.")] = 8,
    seed: Annotated[int, typer.Option("--seed", help="Of learning and of the intervals.")] = 0,
    json: JsonOption = False,
) -> None:
    """Which topics will a person's next window of time hold? All topics, and those new to their recent windows.

    The last windows are the test, the one before chooses each system's threshold, earlier ones are learned from.
    """
    from whimbrel.agent.display.terminal import ingest_progress
    from whimbrel.evals.studies.migration import measure_migration, migration_markdown, read_meetings
    from whimbrel.tools.sources.tables import parse_map

    with ingest_progress() as progress:
        meetings = read_meetings(
            source,
            format=format,
            mapped=parse_map(map or []),
            window_days=window_days,
            window_events=window_events,
            least_events=least_events,
            progress=progress,
        )
        document = measure_migration(meetings, seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(migration_markdown(document))


@eval_app.command("shift", epilog="Example: whimbrel eval shift sales.csv --map shelf=topics")
def eval_shift(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A log in a format of `ingest`, a folder of Last.fm or Frappe, or cases (.jsonl)."
        ),
    ],
    format: Annotated[str | None, typer.Option("--format", metavar="NAME", help="As for `ingest`.")] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is which field; repeat it.")
    ] = None,
    moments: Annotated[int, typer.Option("--moments", min=100, help="Events that are learned from and tested.")] = 2500,
    learned: Annotated[
        Path | None,
        typer.Option("--learned", metavar="FILE", help="What was learned elsewhere, instead of what is shipped."),
    ] = None,
    llm: Annotated[
        str,
        typer.Option("--llm", metavar="SPEC", help="Ask also what this language model's likelihood of topics adds."),
    ] = "none",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Events that the language model is asked about.")] = 200,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Does what is said of an interest come true: topics of the next event, the shift, its kind, how sure one was?

    Half of the people are learned from, the others are tested, later where times are known.
    """
    from whimbrel.agent.display.terminal import ingest_progress
    from whimbrel.agent.fitted import read_topics
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.agent.shift.next_topics import NextTopics
    from whimbrel.evals.runs.results import without_nan
    from whimbrel.evals.studies.shifts import measure_shifts, read_moments, shifts_markdown
    from whimbrel.tools.sources.tables import parse_map

    with ingest_progress() as progress:
        split = read_moments(
            source, format=format, mapped=parse_map(map or []), moments=moments, seed=seed, progress=progress
        )
        elsewhere = read_topics(learned) if learned else NextTopics.default()
        model = open_model(llm)
        document = measure_shifts(split, elsewhere, llm=model, limit=limit, seed=seed, progress=progress)
    for problem in split.problems:
        print(f"whimbrel: {source}: {problem}", file=sys.stderr)
    if json:
        print_json(without_nan(document | {"wrong lines": [str(problem) for problem in split.problems]}))
    else:
        print(shifts_markdown(document))


@eval_app.command("report", epilog="Example: whimbrel eval report run && open run/report.html")
def eval_report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where a run was kept with --out.")],
    json: JsonOption = False,
) -> None:
    """Write a run as one page that needs no network (report.html), as Markdown and as CSV, into its folder."""
    from whimbrel.evals.reports.report import write_report

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
def _folder(out: Path | None, *, in_parts: bool) -> Iterator[Path]:
    """The folder of a run, which no other process may write; a run in parts and one of all cases do not mix."""
    import tempfile

    from whimbrel.evals.runs.plan import PLAN
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.files.locks import exclusive

    if out is not None:
        if any(out.glob("fold-*")) if not in_parts else (out / PLAN).is_file():
            raise ConfigError(f"{str(out)!r} holds a run of another kind: give another --out, or remove it")
        with exclusive(out, "run folder"):
            yield out
        return
    with tempfile.TemporaryDirectory(prefix="whimbrel-") as folder:
        yield Path(folder)


def _write(path: Path, document: dict[str, Any]) -> None:
    import json

    from whimbrel.tools.files.atomic import replaced

    with replaced(path) as partial:
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False))
