"""`whimbrel shift`: how the interest of one person moved, and where it goes."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
    AtOption,
    ContextOption,
    JsonOption,
    LanguageOption,
    LlmOption,
    PolicyOption,
    StoreOption,
    UserArgument,
    VerboseOption,
    example,
    open_agent,
    parse_at,
    parse_context,
    with_steps,
)


@example("whimbrel shift 42 --store shop", "whimbrel shift 42 --store shop --plot interest.svg")
def shift(
    user: UserArgument,
    store: StoreOption,
    at: AtOption = None,
    context: ContextOption = None,
    policy: PolicyOption = None,
    llm: LlmOption = "none",
    language: LanguageOption = "en",
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the timeline into this file, .svg or .png.")
    ] = None,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Show how the interest of a person moved, and where it goes now.

    Each line is a period: its topics, and the shift that was predicted at its end from what was known then. Below is
    the present shift with its reason. A language model, if there is one, is asked about the present shift only.
    """
    from whimbrel.agent.display.terminal import View, console
    from whimbrel.agent.display.timeline_plot import picture_format, write_plot
    from whimbrel.agent.display.timeline_text import timeline
    from whimbrel.agent.schema.policy import load_policies

    rules = load_policies(policy or [])
    moment, situation = parse_at(at), parse_context(context or [])
    if plot:
        picture_format(plot)  # a wrong file name is refused before the work starts
    with open_agent(AgentOptions(store, llm, language)) as agent:
        shown = with_steps(lambda _: agent.timeline(user, moment, situation, policy=rules))
        zone = agent.store.zone
    if plot:
        write_plot(shown, plot, zone=zone)
    if json:
        print(shown.model_dump_json())
        return
    out = console()
    coloured = out.color_system is not None and not out.no_color
    out.print(timeline(shown, width=out.width, coloured=coloured, view=View(language, verbose, zone)))
    if plot:
        out.print(f"Drawn in {plot}", soft_wrap=True, markup=False)
