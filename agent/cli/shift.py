"""`whimbrel shift`: how the interest of one person moved, and where it goes."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AtOption,
    ContextOption,
    JsonOption,
    LanguageOption,
    LlmOption,
    StoreOption,
    UserArgument,
    example,
    open_agent,
    parse_at,
    parse_context,
    with_steps,
)


@example("whimbrel shift 42 --store shop; whimbrel shift 42 --store shop --plot interest.svg")
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
    from whimbrel.agent.display.terminal import console
    from whimbrel.agent.display.timeline_plot import picture_format, write_plot
    from whimbrel.agent.display.timeline_text import timeline
    from whimbrel.agent.language_models.hosted.budget import Budget

    moment, situation = parse_at(at), parse_context(context or [])
    if plot:
        picture_format(plot)
    with open_agent(store, llm, language, Budget(), None) as agent:
        found = with_steps(lambda _: agent.timeline(user, moment, situation))
    if plot:
        write_plot(found, plot)
    if json:
        print(found.model_dump_json())
        return
    out = console()
    out.print(timeline(found, width=out.width, coloured=out.color_system is not None and not out.no_color))
    if plot:
        out.print(f"Drawn in {plot}", soft_wrap=True, markup=False)
