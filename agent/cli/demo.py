"""`whimbrel demo`: the whole job on real grocery baskets."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json, with_steps


@example("whimbrel demo; whimbrel demo --user 1016")
def demo(
    user: Annotated[str | None, typer.Option("--user", metavar="ID", help="Another household of the sample.")] = None,
    llm: LlmOption = "bundled",
    json: JsonOption = False,
) -> None:
    """Show the whole job on real grocery baskets.

    206 households of the Complete Journey with their whole year, one that enters the shop, and what it bought next.
    """
    from whimbrel.agent.demo import demonstrate, open_demo
    from whimbrel.agent.display import terminal as show

    with show.ingest_progress() as progress:
        agent = open_demo(llm, progress, lambda words: progress.step(words, 0))
    with agent:
        shown = with_steps(lambda on_step: demonstrate(agent, user, on_step=on_step))
        households = len(agent.store.log.user_ids)
    if json:
        print_json(shown.recommendations.model_dump(mode="json") | {"next": shown.next.model_dump()})
        return
    out = show.console()
    out.print(f"The Complete Journey, {households} households, the year 2017. One of them enters the shop.\n")
    out.print(show.recommendations(shown.recommendations))
    out.print(show.outcome(shown.next))
