"""`whimbrel recommend`: new items for one person, each with its reason."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
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
    VerboseOption,
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
    k: Annotated[int, typer.Option("--k", min=1, help="Length of the list.")] = 10,
    diversity: Annotated[
        float, typer.Option("--diversity", min=0, max=1, help="How different the items shall be: 0 to 1.")
    ] = 0.0,
    novelty: Annotated[
        float,
        typer.Option("--novelty", min=0, max=10, help="How much to favour items that few people know: 1 is a lot."),
    ] = 0.0,
    llm: LlmOption = "bundled",
    language: LanguageOption = "en",
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Recommend new items to a person, each with a reason.

    New is what the person has no event of before the time asked about. Every reason cites events of the person's own
    history.

    In --context, five keys are wishes: `query` (what is wanted), `avoid` (what is not), `more` and `unavailable` (ids
    of items) and `max_price`. Any other key describes the situation.
    """
    from whimbrel.agent.display.recommendations import recommendations
    from whimbrel.agent.display.terminal import View, console

    moment, situation = parse_at(at), parse_context(context or [])
    ranking = {"diversity": diversity, "novelty": novelty}
    options = AgentOptions(store, llm, language, budget_usd, budget_tokens, remember, ranking)
    with open_agent(options) as agent:
        answer = with_steps(lambda on_step: agent.recommend(user, moment, situation, k, on_step=on_step))
    if json:
        print(answer.model_dump_json())
    else:
        console().print(recommendations(answer, View(language, verbose)))
