"""`whimbrel eval leaks`: search prompts for what is another person's, and for personal data."""

from typing import Annotated

import typer

from whimbrel.agent.cli.options import JsonOption, example, print_json
from whimbrel.evals.cli.options import SeedOption


@example("whimbrel eval leaks --users 500 --planted 200 --sensitive 100")
def leaks(
    users: Annotated[int, typer.Option("--users", min=2, help="Number of people of the made-up log.")] = 500,
    planted: Annotated[int, typer.Option("--planted", min=0, help="Number of planted pieces of personal data.")] = 200,
    sensitive: Annotated[
        int, typer.Option("--sensitive", min=0, help="How many people's own topic is marked as sensitive.")
    ] = 0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Search prompts for what is another person's, and for personal data.

    A model server on this machine keeps every request. Everybody of a made-up log talks, resumes the talk and gets
    recommendations. Exits with 1 if a request holds something that only another person has or the person's own id, or
    if a command turns to another address than the model server, or if something sensitive is named. Personal data that
    were not masked are counted.
    """
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.evals.studies.prompt_leaks import is_leaking, leaks_markdown, measure_leaks

    with progress_bars() as progress:
        document = measure_leaks(users, planted, sensitive=sensitive, seed=seed, progress=progress)
    if json:
        print_json(document)
    else:
        print(leaks_markdown(document))
    if is_leaking(document):
        raise typer.Exit(1)
