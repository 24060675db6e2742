"""`whimbrel chat`: a conversation about what to choose."""

import io
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
    AtOption,
    BudgetTokensOption,
    BudgetUsdOption,
    FactOption,
    LanguageOption,
    LlmOption,
    PolicyOption,
    RememberOption,
    StoreOption,
    VerboseOption,
    example,
    open_agent,
    parse_at,
)


@example(
    "whimbrel chat 42 --store shop",
    "echo 'no snacks' | whimbrel chat 42 --store shop",
    "whimbrel chat 42 --store shop --session birthday",
    "whimbrel chat 42 --store films --policy policy.json --fact services=Hulu,Netflix",
)
def chat(
    store: StoreOption,
    user: Annotated[
        str, typer.Argument(metavar="USER", help="Id of the user in the log. Leave it out for somebody new.")
    ] = "",
    at: AtOption = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of a list.")] = 5,
    llm: LlmOption = "bundled",
    language: LanguageOption = "en",
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    verbose: VerboseOption = False,
    policy: PolicyOption = None,
    fact: FactOption = None,
    name: Annotated[
        str,
        typer.Option("--session", metavar="NAME", help="Save the conversation under this name, or go on with it."),
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print each answer as one JSON document on a line.")] = False,
) -> None:
    """Talk about what to choose.

    The conversation opens with a list. Then say what you want in your own words, in English, German or Chinese, and
    change it as you go. Ask about items, compare them, and say what you take or know already. Commands: /why 2 (why is
    the second item there?), /more 2 (more like it), /less TOPIC (leave it out), /state (what you said so far), /memory
    (what you said of items; /memory delete 1), /undo, /reset (forget what was said), /quit. Tab completes commands,
    topics and titles. Ctrl-C stops an answer or clears the line, and Ctrl-D leaves. In a pipe, each line of standard
    input is answered.
    """
    from whimbrel.agent.chat.turn import Turn
    from whimbrel.agent.display.conversation import printer
    from whimbrel.agent.display.progress import thinking
    from whimbrel.agent.display.suggestions import Suggestions
    from whimbrel.agent.display.terminal import View
    from whimbrel.agent.display.typed_lines import typed_lines
    from whimbrel.agent.schema.policy import load_policies, parse_facts
    from whimbrel.tools.errors import ModelError, StoreError

    # --json is for programs. With it, a terminal is read like a pipe, without a prompt.
    moment, interactive = parse_at(at), sys.stdin is not None and sys.stdin.isatty() and not json
    stopped = (KeyboardInterrupt,) if interactive else ()  # Ctrl-C stops an answer, but a pipe as a whole
    rules, facts = load_policies(policy or []), parse_facts(fact or [])
    options = AgentOptions(store, llm, language, budget_usd, budget_tokens, remember)
    with open_agent(options) as agent:
        view = View(language, verbose, agent.store.zone)
        show, words = printer(interactive=interactive, as_json=json, view=view), view.say.chat
        session = agent.chat(user, moment, k, policy=rules, facts=facts, session=name)
        with thinking(words.thinking, shown=interactive):
            answer = session.open()
        if interactive:
            suggestions = Suggestions(agent.store.fields, words)
            suggestions.show(answer)
            lines = typed_lines(suggestions, words)
        else:
            lines = _piped()
        show(answer)
        for line in lines:
            try:
                with thinking(words.thinking, shown=interactive):
                    answer = session.say(line)
            except ModelError as error:
                answer = Turn("unclear", words.model_failed.format(error=error), session.state)
            except StoreError as error:  # nothing can be written; the conversation goes on
                answer = Turn("unclear", f"{error}.", session.state)
            except stopped:
                answer = Turn("unclear", words.interrupted, session.state)
            with suppress(*stopped):
                if interactive:
                    suggestions.show(answer)
                show(answer)
            if answer.done:
                break


def _piped() -> Iterator[str]:
    """Yield the lines that are piped in, until the input ends."""
    if sys.stdin is None:
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a line in the wrong encoding still gets an answer
    with suppress(KeyboardInterrupt):
        while line := sys.stdin.readline():
            yield line
