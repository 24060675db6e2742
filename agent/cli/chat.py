"""`whimbrel chat`: a conversation about what to choose."""

import io
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AtOption,
    BudgetTokensOption,
    BudgetUsdOption,
    LanguageOption,
    LlmOption,
    RememberOption,
    StoreOption,
    example,
    open_agent,
    parse_at,
)


@example("whimbrel chat 42 --store shop; or in a pipe: echo 'no snacks' | whimbrel chat 42 --store shop")
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
    from whimbrel.agent.chat.session import HELP, Answer
    from whimbrel.agent.display import terminal as show
    from whimbrel.agent.language_models.hosted.budget import Budget
    from whimbrel.tools.errors import ModelError

    moment, interactive = parse_at(at), sys.stdin is not None and sys.stdin.isatty() and not json
    tell = show.teller(interactive=interactive, json=json)
    with open_agent(store, llm, language, Budget(budget_tokens, budget_usd), remember) as agent:
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
