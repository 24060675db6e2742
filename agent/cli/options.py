"""Shared code of the commands: options, the parsing of their values, and the printing of documents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from whimbrel.agent.agent import Agent

F = TypeVar("F", bound=Callable[..., None])
T = TypeVar("T")
Language = Literal["en", "zh"]
"""The same languages as in `prompts.phrases`.

That module is not imported here, because it needs pydantic and would slow down `--help`.
"""


StoreOption = Annotated[
    str, typer.Option("--store", metavar="DIR", help="Folder of the store, or address of a Chroma server.")
]
LlmOption = Annotated[
    str,
    typer.Option("--llm", metavar="SPEC", help="Language model: a spec of `whimbrel models list`, or `none`."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", help="Show event ids, scores, tokens and notes on the model's replies too."),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Answer as of this time (ISO 8601 or Unix seconds). By default now, or the end of a log that ended over a "
        "week ago.",
    ),
]
ContextOption = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        metavar="KEY=VALUE",
        help="The situation, as in place=work, or a wish, as in query='a film for children'. May be repeated.",
    ),
]
LanguageOption = Annotated[Language, typer.Option("--language", help="Language of the answer.")]
BudgetUsdOption = Annotated[
    float | None, typer.Option("--budget-usd", min=0, help="Most US dollars that a hosted model may cost.")
]
BudgetTokensOption = Annotated[
    int | None, typer.Option("--budget-tokens", min=0, help="Most tokens that a hosted model may read and write.")
]
RememberOption = Annotated[
    bool | None,
    typer.Option(
        "--remember/--no-remember",
        help="Reuse replies of the model that are cached on disk. By default for hosted models only.",
    ),
]


PolicyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="Rules of the operator: a file in JSON or TOML, or one of minors, health, finance, home; repeatable.",
    ),
]
FactOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fact", metavar="NAME=VALUE[,VALUE]", help="What is known of the person and the policy needs; repeatable."
    ),
]


def _user_id(given: str | None) -> str | None:
    from whimbrel.tools.records import identifier

    try:
        return None if given is None else identifier(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="Id of the user in the log.", callback=_user_id, show_default=False)
]


@dataclass(frozen=True)
class AgentOptions:
    """The options with which a command opens an agent.

    Attributes:
        store: Folder of the store, or address of a Chroma server.
        llm: A model spec.
        language: The language of answers.
        budget_usd: The most US dollars that a hosted model may cost; None for no limit.
        budget_tokens: The most tokens that a hosted model may read and write; None for no limit.
        remember: Whether cached replies are reused; None for the model's default.
        ranking: Settings of `RankConfig` that differ from its defaults.
        fitted: What was learned from another store.
        also_history: Another store with histories.
    """

    store: str
    llm: str
    language: Language = "en"
    budget_usd: float | None = None
    budget_tokens: int | None = None
    remember: bool | None = None
    ranking: Mapping[str, float] | None = None
    fitted: "Path | None" = None
    also_history: str | None = None


def open_agent(options: AgentOptions) -> "Agent":
    """Open an agent. Slow steps are shown on stderr.

    Raises:
        ConfigError: The model spec names no model.
        StoreError: There is no such store.
        ModelError: The model cannot be opened.
    """
    from whimbrel.agent.agent import Agent
    from whimbrel.agent.display.progress import steps
    from whimbrel.agent.language_models.hosted.budget import Budget
    from whimbrel.agent.state import PipelineConfig

    config = PipelineConfig.model_validate({"language": options.language, "rank": options.ranking or {}})
    budget = Budget(options.budget_tokens, options.budget_usd)
    with steps() as status:
        return Agent.open(
            options.store,
            options.llm,
            config,
            budget=budget,
            remember=options.remember,
            tell=status.show,
            fitted=options.fitted,
            also_history=options.also_history,
        )


def with_steps(call: Callable[[Callable[[str], None]], T]) -> T:
    """Call a function with a listener that shows the steps of the pipeline on stderr."""
    from whimbrel.agent.display.progress import steps

    with steps() as status:
        return call(status)


def example(*commands: str) -> Callable[[F], F]:
    """Return a decorator that attaches examples to a command. The command's help ends with them."""

    def attach(function: F) -> F:
        vars(function)["examples"] = commands
        return function

    return attach


def add_command(app: typer.Typer, function: Callable[..., None], name: str | None = None) -> None:
    """Add a command. Its help ends with its examples (see `example`)."""
    examples = "; ".join(vars(function)["examples"])
    app.command(name, epilog=f"Example: {examples}")(function)


def parse_at(at: str | None, option: str = "--at") -> float | None:
    """Parse a time that was given as an option.

    Raises:
        ConfigError: The time has no known format.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.timestamps import parse_time

    try:
        return None if at is None else parse_time(at)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def parse_context(pairs: list[str]) -> dict[str, object]:
    """Parse the values of `--context`. The keys `avoid`, `more` and `unavailable` may be repeated.

    Raises:
        ConfigError: A value is not of the form KEY=VALUE, or is not valid for its key.

    Example:
        >>> parse_context(["place=work", "avoid=tea", "avoid=soup"])
        {'place': 'work', 'avoid': ['tea', 'soup']}
    """
    from whimbrel.agent.schema.context import as_context
    from whimbrel.tools.errors import ConfigError

    context: dict[str, object] = {}
    several: dict[str, list[str]] = {key: [] for key in ("avoid", "more", "unavailable")}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--context {pair!r}: give KEY=VALUE, as in --context place=work")
        if key.strip() in several:
            several[key.strip()].append(value.strip())
        else:
            context[key.strip()] = value.strip()
    context |= {key: values for key, values in several.items() if values}
    try:
        as_context(context)  # checked here, so that the message names the option and no model is opened in vain
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    return context


def print_json(document: dict[str, Any]) -> None:
    """Print a document on one line of standard output, without buffering."""
    import json

    print(json.dumps(document, ensure_ascii=False), flush=True)
