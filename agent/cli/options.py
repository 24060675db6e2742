"""What the commands share: options, the values they are parsed into, and how an answer is printed."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from whimbrel.agent.agent import Agent
    from whimbrel.agent.language_models.hosted.budget import Budget

F = TypeVar("F", bound=Callable[..., None])


StoreOption = Annotated[
    str, typer.Option("--store", metavar="DIR", help="Folder of the store, or a Chroma server's address.")
]
LlmOption = Annotated[str, typer.Option("--llm", metavar="SPEC", help="Language model: see `whimbrel models list`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", metavar="TIME", help="As of this time (ISO 8601 or Unix seconds); by default now, or the log's end."
    ),
]


ContextOption = Annotated[
    list[str] | None,
    typer.Option("--context", metavar="KEY=VALUE", help="The situation, as place=work; query=WORDS is a stated wish."),
]
LanguageOption = Annotated[Literal["en", "zh"], typer.Option("--language", help="Language of summaries and reasons.")]
BudgetUsdOption = Annotated[
    float | None, typer.Option("--budget-usd", min=0, help="US dollars that a hosted model may cost at most.")
]
BudgetTokensOption = Annotated[
    int | None, typer.Option("--budget-tokens", min=0, help="Tokens that a hosted model may read and write at most.")
]
RememberOption = Annotated[
    bool | None,
    typer.Option(
        "--remember/--no-remember",
        help="Answer from the cache on disk what the model was asked before; by default for hosted models only.",
    ),
]


def _user(given: str | None) -> str | None:
    from whimbrel.tools.records import identifier

    try:
        return None if given is None else identifier(given)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="Id of the user in the log.", callback=_user, show_default=False)
]


def example(*commands: str) -> Callable[[F], F]:
    """Attach the examples that a command's help ends with."""

    def attach(function: F) -> F:
        vars(function)["examples"] = commands
        return function

    return attach


def add_command(app: typer.Typer, function: Callable[..., None], name: str | None = None) -> None:
    """Add a command whose help ends with its examples (see `example`)."""
    examples = "; ".join(vars(function)["examples"])
    app.command(name, epilog=f"Example: {examples}")(function)


def open_agent(
    store: str,
    llm: str,
    language: str,
    budget: "Budget",
    remember: bool | None,
    wanted: Mapping[str, float] | None = None,
) -> "Agent":
    from whimbrel.agent.agent import Agent
    from whimbrel.agent.display import terminal as show
    from whimbrel.agent.pipeline import PipelineConfig

    config = PipelineConfig.model_validate({"language": language, "rank": wanted or {}})
    with show.steps() as status:
        return Agent.open(store, llm, config, budget=budget, remember=remember, tell=status.tell)


def with_steps(call: Any) -> Any:
    from whimbrel.agent.display.terminal import steps

    with steps() as status:
        return call(status)


def parse_at(at: str | None, option: str = "--at") -> float | None:
    """A time given as an option.

    Raises:
        ConfigError: it is in no known format.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.timestamps import parse_time

    try:
        return None if at is None else parse_time(at)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def parse_context(pairs: list[str]) -> dict[str, object]:
    """Keys and values; wishes that may be several add up."""
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
        as_context(context)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None
    return context


def print_json(document: dict[str, Any]) -> None:
    """One document on a line of standard output, at once."""
    import json

    print(json.dumps(document, ensure_ascii=False), flush=True)
