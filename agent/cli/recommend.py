"""`whimbrel recommend`: new items for one person, or for all users of a store, each with its reason."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
    BudgetTokensOption,
    BudgetUsdOption,
    ContextOption,
    FactOption,
    JsonOption,
    LanguageOption,
    PolicyOption,
    RememberOption,
    StoreOption,
    UserArgument,
    VerboseOption,
    example,
    open_agent,
    parse_at,
    parse_context,
    print_json,
    with_steps,
)

if TYPE_CHECKING:
    from whimbrel.agent.batch.answering import ListRequest
    from whimbrel.tools.workers import Workers


@example(
    "whimbrel recommend 42 --store shop --at 2017-06-01T18:00:00Z --context place=work --k 5",
    "whimbrel recommend --all-users --store shop --out lists.jsonl --workers 2",
)
def recommend(
    called: typer.Context,
    store: StoreOption,
    user: UserArgument = None,  # type: ignore[assignment]  # the type of a USER that may be left out is the same
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Answer as of this time (ISO 8601 or Unix seconds). By default now, or the end of a log that ended "
            "over a week ago. With --all-users by default one second after the last event of the log.",
        ),
    ] = None,
    context: ContextOption = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Length of the list.")] = 10,
    diversity: Annotated[
        float, typer.Option("--diversity", min=0, max=1, help="How different the items shall be: 0 to 1.")
    ] = 0.0,
    novelty: Annotated[
        float,
        typer.Option("--novelty", min=0, max=10, help="How much to favour items that few people know: 1 is a lot."),
    ] = 0.0,
    exposure: Annotated[
        float,
        typer.Option(
            "--exposure",
            min=0,
            max=1,
            help="How much of the expected accuracy of a list to give up for items that few people met: .05 is 5%.",
        ),
    ] = 0.0,
    policy: PolicyOption = None,
    fact: FactOption = None,
    llm: Annotated[
        str | None,
        typer.Option(
            "--llm",
            metavar="SPEC",
            help="Language model: a spec of `whimbrel models list`, or `none`. By default `bundled`, with --all-users "
            "`none`.",
        ),
    ] = None,
    language: LanguageOption = "en",
    budget_usd: BudgetUsdOption = None,
    budget_tokens: BudgetTokensOption = None,
    remember: RememberOption = None,
    fitted: Annotated[
        Path | None,
        typer.Option(
            "--fitted",
            metavar="FITTED",
            help="Rank with what `whimbrel fit --out` learned from another store. It is switched off if people of this "
            "store lose by it.",
        ),
    ] = None,
    also_history: Annotated[
        str | None,
        typer.Option(
            "--also-history",
            metavar="DIR",
            help="Another store. What USER did there before the moment is evidence of their interest too. It is "
            "switched off if people of both stores gain nothing by it.",
        ),
    ] = None,
    all_users: Annotated[
        bool,
        typer.Option(
            "--all-users",
            help="Recommend to every user of the store, and write the lists to --out.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="With --all-users: the file of the lists (.jsonl, .jsonl.gz or .parquet)."
        ),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option("--users", metavar="FILE", help="With --all-users: only the users of this file, one id a line."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="With --all-users: number of processes that recommend.")
    ] = 1,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="With --all-users: run the workers on this Ray cluster; `local` starts one here.",
        ),
    ] = None,
    reasons: Annotated[
        bool,
        typer.Option("--reasons/--no-reasons", help="With --all-users: give each item a reason, which takes time."),
    ] = True,
    verbose: VerboseOption = False,
    json: JsonOption = False,
) -> None:
    """Recommend new items to a person, each with a reason.

    New is what the person has no event of before the time asked about. Every reason cites events of the person's own
    history.

    In --context, five keys are wishes: `query` (what is wanted), `avoid` (what is not), `more` and `unavailable` (ids
    of items) and `max_price`. Any other key describes the situation.

    Where little is known, the answer says how the list was made: for a new person, for items that nobody chose yet, in
    a store without events, or by a history in another store.

    With --all-users, the file has one answer for each user, in the order of their ids. If the command is stopped, the
    same command goes on with it.
    """
    from whimbrel.tools.errors import ConfigError

    if not all_users and (out or users or ray or workers > 1 or not reasons):
        raise ConfigError("--out, --users, --workers, --ray and --no-reasons are for --all-users: add it")
    if all_users and (fitted or also_history):
        raise ConfigError("--fitted and --also-history are for one user: learn for all with `whimbrel fit --from`")
    if all_users and (policy or fact):
        raise ConfigError("--policy and --fact are for one user: mark topics for all with `whimbrel sensitive`")
    if user is not None and all_users:
        raise ConfigError(f"name one user ({user!r}) or give --all-users, not both")
    if user is None and not all_users:
        called.fail("Missing argument 'USER'.")
    if all_users and out is None:
        raise ConfigError("--all-users needs a file for the lists: add --out lists.jsonl")
    moment, situation = parse_at(at), parse_context(context or [])
    ranking = {"diversity": diversity, "novelty": novelty, "exposure": exposure}
    if out is not None:
        from whimbrel.agent.batch.answering import ListRequest
        from whimbrel.agent.language_models.hosted.budget import Budget
        from whimbrel.agent.schema.context import as_context
        from whimbrel.agent.state import PipelineConfig
        from whimbrel.tools.workers import Workers

        wanted = ListRequest(
            at=moment,
            k=k,
            context=as_context(situation),
            reasons=reasons,
            llm=llm or "none",
            config=PipelineConfig.model_validate({"language": language, "rank": ranking}),
            budget=Budget(budget_tokens, budget_usd),
            remember=remember,
        )
        _recommend_all(store, out, wanted, users=users, workers=Workers(workers, ray), json=json)
        return
    from whimbrel.agent.display.recommendations import recommendations
    from whimbrel.agent.display.terminal import View, console
    from whimbrel.agent.schema.policy import load_policies, parse_facts

    rules, facts = load_policies(policy or []), parse_facts(fact or [])
    options = AgentOptions(
        store, llm or "bundled", language, budget_usd, budget_tokens, remember, ranking, fitted, also_history
    )
    with open_agent(options) as agent:
        answer = with_steps(
            lambda on_step: agent.recommend(user, moment, situation, k, policy=rules, facts=facts, on_step=on_step)
        )
        view = View(language, verbose, agent.store.zone)
    if json:
        print(answer.model_dump_json())
    else:
        disclosed = {entry.item_id: entry.disclosures for entry in answer.recommendations}
        console().print(recommendations(answer, view, disclosed))


def _recommend_all(
    store: str, out: Path, wanted: "ListRequest", *, users: Path | None, workers: "Workers", json: bool
) -> None:
    """Recommend to all users, and print what was written."""
    from whimbrel.agent.batch.recommend_all import recommend_all
    from whimbrel.agent.display.progress import progress_bars

    with progress_bars() as progress:
        finished = recommend_all(store, out, wanted, users=users, workers=workers, progress=progress)
    if finished.failed:
        print(f"whimbrel: {finished.failed} users failed: the warnings of their entries say why", file=sys.stderr)
    if finished.unknown:
        print(
            f"whimbrel: the store does not know {finished.unknown} users of {users}: see {finished.unknown_file}",
            file=sys.stderr,
        )
    if json:
        print_json(finished.document())
    else:
        print(finished.words())
