"""Options that several commands of `whimbrel eval` share, and functions that read their values."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

if TYPE_CHECKING:
    from whimbrel.agent.ranking.rankers import CandidateKind

CasesArgument = Annotated[Path, typer.Argument(metavar="CASES", help="A file of cases, one JSON document per line.")]
RunArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run, as given to its `--out`.")]
NamedSourcesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME=SOURCE ...",
        help="Logs, each with a name. A source is a log in a format of `ingest`, a Last.fm folder, "
        "the files `SESSIONS,ITEMS` as for `whimbrel fit`, or a file of boundary cases (.jsonl).",
    ),
]
SystemOption = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        metavar="NAME,...",
        help="Systems to compare, by default all. A package.module:function or a ranking file (.jsonl) works too.",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder to keep the run in. The same command resumes it."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the random numbers.")]
RayOption = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Run the workers on this Ray cluster; `local` starts one here."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Number of processes that rank in parallel.")]
SecondsOption = Annotated[
    float | None, typer.Option("--max-seconds", help="Stop after this time. The same command resumes the run.")
]
BudgetOption = Annotated[
    float | None, typer.Option("--budget-usd", help="Stop when hosted models have cost this many US dollars.")
]
AskedOption = Annotated[
    int, typer.Option("--asked", min=1, help="Choices of each log that the language model is asked about.")
]
KindOption = Annotated[
    str,
    typer.Option("--kind", help="cold: lists without a log; given: lists beside the log; retrieved: whole catalogues."),
]
ChoicesOption = Annotated[int, typer.Option("--choices", min=1, help="Choices to draw from each log.")]
DirectionsOption = Annotated[
    int, typer.Option("--directions", min=1, max=2, help="Directions in which a model that orders sees the candidates.")
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Use only the first N cases.")]
FormatOption = Annotated[str | None, typer.Option("--format", metavar="NAME", help="Format, as for `ingest`.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="COLUMN=FIELD", help="Use this column as this field, as for `ingest`; repeatable."),
]


def candidate_kind(value: str) -> "CandidateKind":
    """Return the kind of candidates that an option names."""
    from whimbrel.agent.ranking.rankers import CandidateKind

    kinds = get_args(CandidateKind)
    if value not in kinds:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(kinds)}")
    return cast("CandidateKind", value)


def split_names(values: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names in option values, without repeats. A value may hold several names between commas.

    Example:
        >>> split_names(["bm25,popularity", "bm25"])
        ('bm25', 'popularity')
    """
    return tuple(dict.fromkeys(name.strip() for value in values or () for name in value.split(",") if name.strip()))
