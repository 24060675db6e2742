"""`whimbrel eval dialogue`: measure conversations with a scripted person."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, LlmOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example(
    "whimbrel eval dialogue tasks.jsonl --catalog catalog.json --policy policy.json --trials 8",
    "whimbrel eval dialogue tasks.jsonl --catalog catalog.json --llm openai:gpt-4.1-mini",
)
def dialogue(
    tasks: Annotated[str, typer.Argument(metavar="TASKS", help="Tasks, one JSON object a line, as in tau-Rec.")],
    catalog: Annotated[str, typer.Option("--catalog", metavar="FILE", help="The items: a JSON list, or JSON lines.")],
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="Rules of the operator, JSON or TOML.")
    ] = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="How often each task is played.")] = 4,
    llm: LlmOption = "none",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Measure conversations with a scripted person.

    The person says some constraints at once, others if asked, and others only when rejecting an item. A trial
    succeeds if the person accepts an item that fulfils all constraints, or if nothing fits and the agent says so.
    Every turn is checked against the policy. A model reads the lines if it can, and else the rules do.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.language_models.access import ModelAccess
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.agent.reading.tiers import tier_of
    from whimbrel.agent.schema.policy import Policy, load_policy
    from whimbrel.evals.studies.dialogue import dialogue_markdown, measure_dialogues, read_catalogue, read_tasks

    rules = load_policy(policy) if policy else Policy()
    played, items = read_tasks(tasks), read_catalogue(catalog)
    reader = open_model(llm)
    model = ModelAccess(reader, tier=tier_of(reader))
    with progress_bars() as progress:
        document = measure_dialogues(
            played, items, policy=rules, trials=trials, seed=seed, model=model, progress=progress
        )
    if json:
        print_json(document)
    else:
        print(dialogue_markdown(document))
