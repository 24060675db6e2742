"""`whimbrel demo`: the main job on real grocery baskets."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, VerboseOption, example, print_json, with_steps


@example("whimbrel demo", "whimbrel demo --user 1016")
def demo(
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Another household of the sample.")] = None,
    llm: LlmOption = "bundled",
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Show the main job on real grocery baskets.

    It recommends to a household at one moment of the past, and then shows what was really bought next. The sample is a
    year of shopping by 206 households of the Complete Journey. It comes with the package and is read into a store once.
    By default, the household with the clearest shift of interest is shown.
    """
    from whimbrel.agent.demo import demonstrate, open_demo
    from whimbrel.agent.display.demonstration import outcome, setting
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.recommendations import recommendations
    from whimbrel.agent.display.terminal import View, console

    with progress_bars() as progress:
        agent = open_demo(llm, progress, lambda words: progress.step(words, 0))
    with agent:
        shown = with_steps(lambda on_step: demonstrate(agent, user, on_step=on_step))
        households = len(agent.store.log.user_ids)
    if json:
        print_json(shown.recommendations.model_dump(mode="json") | {"next": shown.next.model_dump()})
        return
    out, view = console(), View(verbose=verbose)
    out.print(setting(shown, households, view), end="\n\n", markup=False)
    out.print(recommendations(shown.recommendations, view))
    out.print(outcome(shown.next))
