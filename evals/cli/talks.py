"""`whimbrel eval talks`: check conversations with people who say random things."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import (
    AgentOptions,
    FactOption,
    JsonOption,
    LanguageOption,
    LlmOption,
    PolicyOption,
    StoreOption,
    example,
    open_agent,
    print_json,
)
from whimbrel.evals.cli.options import SeedOption


@example(
    "whimbrel eval talks --store shop --sessions 50",
    "whimbrel eval talks --store films --language zh",
    "whimbrel eval talks --store pharmacy --policy health --requests 500",
)
def talks(
    store: StoreOption,
    sessions: Annotated[int, typer.Option("--sessions", min=1, help="How many conversations are held.")] = 50,
    policy: PolicyOption = None,
    requests: Annotated[int, typer.Option("--requests", min=0, help="With --policy: lists that are checked too.")] = 0,
    fact: FactOption = None,
    llm: LlmOption = "none",
    language: LanguageOption = "en",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Check what must hold in every conversation, with people who say random things.

    No turn may fail or be empty, no question may be asked twice, no item may come again unasked, and nothing that was
    refused may be shown. Some lines are hostile. The reactions are recorded in the store, so give a copy of yours.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.schema.policy import load_policies, parse_facts
    from whimbrel.evals.studies.talk_checks import check_lists, check_talks

    rules, facts = load_policies(policy or []), parse_facts(fact or [])
    with open_agent(AgentOptions(store, llm, language)) as agent, progress_bars() as progress:
        checked = check_talks(
            agent, sessions=sessions, language=language, policy=rules, facts=facts, seed=seed, progress=progress
        )
        if rules:
            checked.faults += check_lists(agent, requests, rules, facts, seed=seed, progress=progress)
    if json:
        print_json({"sessions": checked.sessions, "turns": checked.turns, "faults": checked.faults})
        return
    lists = f", {requests} lists" if rules else ""
    print(f"{checked.sessions} conversations, {checked.turns} turns{lists}, {len(checked.faults)} faults")
    for fault in checked.faults[:20]:
        print(f"  {fault}")
