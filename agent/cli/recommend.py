"""`whimbrel recommend`: new items for one person, each with its reason."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AtOption,
    BudgetTokensOption,
    BudgetUsdOption,
    ContextOption,
    JsonOption,
    LanguageOption,
    LlmOption,
    RememberOption,
    StoreOption,
    UserArgument,
    example,
    open_agent,
    parse_at,
    parse_context,
    with_steps,
)


@example("whimbrel recommend 42 --store shop --at 2017-06-01T18:00:00Z --context place=work --k 5")
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
    from whimbrel.agent.display.terminal import console, recommendations
    from whimbrel.agent.language_models.hosted.budget import Budget

    moment, situation = parse_at(at), parse_context(context or [])
    wanted = {"diversity": diversity, "novelty": novelty}
    with open_agent(store, llm, language, Budget(budget_tokens, budget_usd), remember, wanted) as agent:
        found = with_steps(lambda on_step: agent.recommend(user, moment, situation, k, on_step=on_step))
    if json:
        print(found.model_dump_json())
    else:
        console().print(recommendations(found))
