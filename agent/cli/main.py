"""The command line: a command parses, calls one function, prints. Heavy imports stand inside the commands."""

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from whimbrel.agent.language_models.budget import Budget
    from whimbrel.agent.recommender import Agent

app = typer.Typer(
    name="whimbrel",
    help="A recommender agent that follows a person's interest as it moves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich would double the time to the first word
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(version("whimbrel"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    run_commands(app)


def run_commands(commands: typer.Typer) -> None:
    """Run commands; an error that a person can act on is one line and exit status 1."""
    from whimbrel.tools.errors import WhimbrelError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that does not know a letter still shows the rest
    try:
        commands()
    except (WhimbrelError, OSError) as error:
        line = "".join(c if c.isprintable() else " " for c in str(error))
        print(f"whimbrel: {' '.join(line.split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("whimbrel: interrupted", file=sys.stderr)
        sys.exit(130)


@app.command(
    epilog="Example: whimbrel ingest sales.csv --store shop --map customer=user_id --map product=title --map day=time "
    "--map shelf=topics"
)
def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A file or folder, or `completejourney`.")],
    store: StoreOption,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="completejourney, movielens, amazon, mind, csv, parquet or jsonl; else told from names or first line.",
        ),
    ] = None,
    map: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="Which column is which field; repeat it.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Read a log into a store. Running it again changes nothing; interrupted, it completes when run again.

    Fields: user_id, title and time are needed; item_id, topics, text, price, event, rating, image and context.KEY
    may be given. Columns that bear a field's name need no --map. Rejected rows go to a file, with the reason.
    """
    from whimbrel.agent.show import console, ingest_progress
    from whimbrel.tools.formats import open_source, parse_map
    from whimbrel.tools.ingest import ingest as ingest_source

    opened = open_source(source, format=format, mapped=parse_map(map or []))
    with ingest_progress() as progress:
        done = ingest_source(opened, store, command=_again(source, format, map or []), progress=progress)
    if json:
        print_json({"store": store, **vars(done), "rejects": str(done.rejects) if done.rejects else None})
        return
    out = console()
    out.print(
        f"{done.rows:,} rows: {done.catalogue:,} of a catalogue, {done.events:,} events ({done.new_events:,} new) of "
        f"{done.users:,} users with {done.items:,} items ({done.new_items:,} new or changed), "
        f"{done.repeated:,} repeated, {done.rejected:,} rejected.",
        markup=False,
    )
    if done.rejects:
        out.print(f"Which rows were rejected and why stands in {done.rejects}", soft_wrap=True, markup=False)


@app.command(epilog="Example: whimbrel recommend 42 --store shop --at 2017-06-01T18:00:00Z --context place=work --k 5")
def recommend(
    user: UserArgument,
    store: StoreOption,
    at: AtOption = None,
    context: ContextOption = None,
    k: Annotated[int, typer.Option("--k", min=1, help="How many.")] = 10,
    diversity: Annotated[
        float, typer.Option("--diversity", min=0, max=1, help="How unlike each other they are to be: 0 to 1.")
    ] = 0.0,
    novelty: Annotated[
        float, typer.Option("--novelty", min=0, max=10, help="How much it counts that few have met one: 1 is a lot.")
    ] = 0.0,
    llm: LlmOption = "bundled",
    language: LanguageOption = "en",
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    json: JsonOption = False,
) -> None:
    """Recommend new items, each with the events behind it.

    In --context, `query`, `avoid`, `more` and `unavailable` (item ids) and `max_price` are wishes; any other key is the
    situation.
    """
    from whimbrel.agent.language_models.budget import Budget
    from whimbrel.agent.show import console, recommendations

    moment, situation = parse_at(at), _context(context or [])
    wanted = {"diversity": diversity, "novelty": novelty}
    with _agent(store, llm, language, Budget(budget_tokens, budget_usd), remember, wanted) as agent:
        found = _with_steps(lambda on_step: agent.recommend(user, moment, situation, k, on_step=on_step))
    if json:
        print(found.model_dump_json())
    else:
        console().print(recommendations(found))


@app.command(epilog="Example: whimbrel forget 42 --store shop")
def forget(
    user: UserArgument,
    store: StoreOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Remove a person's events from a store.

    Ingesting their source again brings them back; rejected rows in the store's folder `rejects` stay.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.store import open_store

    if not yes and not sys.stdin.isatty():
        raise ConfigError("nobody can be asked here: say --yes to remove the events for good")
    with open_store(store) as opened:
        if not yes:
            typer.confirm(f"Remove {len(opened.history(user)):,} events of {user!r}?", abort=True)
        count = opened.forget(user)
    if json:
        print_json({"user_id": user, "events": count})
    else:
        print(f"Removed {count:,} events of {user!r}.")


@app.command(epilog="Example: whimbrel shift 42 --store shop; whimbrel shift 42 --store shop --plot interest.svg")
def shift(
    user: UserArgument,
    store: StoreOption,
    at: AtOption = None,
    context: ContextOption = None,
    llm: LlmOption = "none",
    language: LanguageOption = "en",
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it into this file, .svg or .png.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show how the interest moved, the shifts predicted on the way, and where it goes now.

    A language model is asked for the present shift alone.
    """
    from whimbrel.agent.language_models.budget import Budget
    from whimbrel.agent.plot_timeline import picture_format, write_plot
    from whimbrel.agent.show import console
    from whimbrel.agent.show_timeline import timeline

    moment, situation = parse_at(at), _context(context or [])
    if plot:
        picture_format(plot)
    with _agent(store, llm, language, Budget(), None) as agent:
        found = _with_steps(lambda _: agent.timeline(user, moment, situation))
    if plot:
        write_plot(found, plot)
    if json:
        print(found.model_dump_json())
        return
    out = console()
    out.print(timeline(found, width=out.width, coloured=out.color_system is not None and not out.no_color))
    if plot:
        out.print(f"Drawn in {plot}", soft_wrap=True, markup=False)


@app.command(
    epilog="Example: whimbrel chat 42 --store shop; or in a pipe: echo 'no snacks' | whimbrel chat 42 --store shop"
)
def chat(
    store: StoreOption,
    user: Annotated[
        str, typer.Argument(metavar="[USER]", help="Id of the user in the log; none for somebody new.")
    ] = "",
    at: AtOption = None,
    k: Annotated[int, typer.Option("--k", min=1, help="How many a list.")] = 5,
    llm: LlmOption = "bundled",
    language: LanguageOption = "en",
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print each answer as one JSON document a line.")] = False,
) -> None:
    """Talk about what to choose.

    It begins with the context and a list; then say what you want, or /why N, /more N, /less TOPIC, /reset, /quit.
    """
    from whimbrel.agent import show
    from whimbrel.agent.language_models.budget import Budget
    from whimbrel.agent.session import HELP, Answer
    from whimbrel.tools.errors import ModelError

    moment, interactive = parse_at(at), sys.stdin is not None and sys.stdin.isatty() and not json
    tell = show.teller(interactive=interactive, json=json)
    with _agent(store, llm, language, Budget(budget_tokens, budget_usd), remember) as agent:
        session = agent.chat(user, moment, k)
        with show.thinking(shown=interactive):
            opening = session.open()
        tell(opening)
        if interactive:
            show.console().print(HELP, style="dim")
        for line in _lines(interactive):
            try:
                with show.thinking(shown=interactive):
                    said = session.say(line)
            except ModelError as error:
                said = Answer(f"The language model failed: {error}")
            except KeyboardInterrupt:
                if not interactive:
                    raise
                said = Answer("Interrupted; the list stands.")
            tell(said)
            if said.done:
                break


def _lines(interactive: bool) -> Iterator[str]:
    """What is typed or piped in, line by line, until it ends."""
    if interactive:
        with suppress(ImportError):
            import readline  # noqa: F401  # arrows and history in input()
    if sys.stdin is None:
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    while True:
        try:
            line = input("> ") if interactive else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            return
        if not interactive and not line:
            return
        yield line


@app.command(epilog="Example: whimbrel demo; whimbrel demo --user 1016")
def demo(
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Another household of the sample.")] = None,
    llm: LlmOption = "bundled",
    json: JsonOption = False,
) -> None:
    """Show the whole job on real grocery baskets.

    206 households of the Complete Journey with their whole year, one that enters the shop, and what it bought next.
    """
    from whimbrel.agent import show
    from whimbrel.agent.demo import demonstrate, open_demo

    with show.ingest_progress() as progress:
        agent = open_demo(llm, progress, lambda words: progress.step(words, 0))
    with agent:
        shown = _with_steps(lambda on_step: demonstrate(agent, user, on_step=on_step))
        households = len(agent.store.log.user_ids)
    if json:
        print_json(shown.recommendations.model_dump(mode="json") | {"next": shown.next.model_dump()})
        return
    out = show.console()
    out.print(f"The Complete Journey, {households} households, the year 2017. One of them enters the shop.\n")
    out.print(show.recommendations(shown.recommendations))
    out.print(show.outcome(shown.next))


def _agent(
    store: str,
    llm: str,
    language: str,
    budget: "Budget",
    remember: bool | None,
    wanted: Mapping[str, float] | None = None,
) -> "Agent":
    from whimbrel.agent import show
    from whimbrel.agent.pipeline import PipelineConfig
    from whimbrel.agent.recommender import Agent

    config = PipelineConfig.model_validate({"language": language, "rank": wanted or {}})
    with show.steps() as status:
        return Agent.open(store, llm, config, budget=budget, remember=remember, tell=status.tell)


def _with_steps(call: Any) -> Any:
    from whimbrel.agent.show import steps

    with steps() as status:
        return call(status)


def parse_at(at: str | None, option: str = "--at") -> float | None:
    """A time given as an option.

    Raises:
        ConfigError: it is in no known format.
    """
    from whimbrel.tools.errors import ConfigError
    from whimbrel.tools.instants import parse_time

    try:
        return None if at is None else parse_time(at)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None


def _context(pairs: list[str]) -> dict[str, object]:
    """Keys and values; wishes that may be several add up."""
    from whimbrel.agent.context import as_context
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


def _again(source: str, format: str | None, map: list[str]) -> str:
    """The source and its options, for the command that completes an interrupted ingestion."""
    import shlex

    given = Path(source).resolve() if Path(source).exists() else source
    return shlex.join(
        [str(given), *(["--format", format] if format else []), *(part for pair in map for part in ("--map", pair))]
    )


def print_json(document: dict[str, Any]) -> None:
    """One document on a line of standard output, at once."""
    import json

    print(json.dumps(document, ensure_ascii=False), flush=True)
