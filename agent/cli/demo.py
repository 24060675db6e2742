"""`whimbrel demo`: the main job on real grocery baskets."""

from importlib import import_module
from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, VerboseOption, example, print_json, with_steps

CASES_MODULE = "whimbrel.evals.cli.demo_case"
"""The module whose function `show_case` shows a case. It is named as a text, so that this package does not depend on
`whimbrel.evals`."""


@example("whimbrel demo", "whimbrel demo --user 1016", "whimbrel demo --case shop")
def demo(
    case: Annotated[
        str | None,
        typer.Option(
            "--case", metavar="shop|news|social", help="A case of the book: a story, then a table of measurements."
        ),
    ] = None,
    people: Annotated[int, typer.Option("--people", min=2, help="With --case: people whose lists are measured.")] = 60,
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Another household of the sample.")] = None,
    llm: LlmOption = "bundled",
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Show the main job on real grocery baskets.

    It recommends to a household at one moment of the past, and then shows what was really bought next. The sample is a
    year of shopping by 206 households of the Complete Journey. It comes with the package and is read into a store once.
    By default, the household with the clearest shift of interest is shown.

    A case shows the list of one person before and after a shift, what was really chosen next, and how Whimbrel compares
    with user-based collaborative filtering. The shop needs no further data. News and social read logs that do not come
    with the package: WHIMBREL_DATA names their folder.
    """
    if case is not None:
        if user is not None:
            raise typer.BadParameter("a case chooses its person itself", param_hint="--user")
        import_module(CASES_MODULE).show_case(case, llm=llm, people=people, verbose=verbose, json=json)
        return
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
