"""`whimbrel demo --case`: a case of the book on a real log, with its story and its table."""

from typing import get_args

import typer

from whimbrel.agent.cli.options import print_json


def show_case(name: str, *, llm: str, people: int, verbose: bool, json: bool) -> None:
    """Show a case: the story of a person, then the tables.

    Args:
        name: The name of the case.
        llm: The model spec of the story. The tables are made without a language model.
        people: The most people whose lists are measured.
        verbose: Whether event ids are shown too.
        json: Whether one JSON document is printed instead.

    Raises:
        ConfigError: the folder of data is not named, or does not hold the log.
    """
    from whimbrel.agent.agent import Agent
    from whimbrel.agent.display.progress import progress_bars
    from whimbrel.agent.display.terminal import View, console
    from whimbrel.agent.fitted import Fitted
    from whimbrel.agent.language_models.specs import open_model
    from whimbrel.evals.cli.demo_screen import story_screen, table_screen
    from whimbrel.evals.studies.demo_cases import CASES, CaseName, open_case
    from whimbrel.evals.studies.demo_story import tell_story
    from whimbrel.evals.studies.demo_table import measure_lists, measure_topics

    if name not in CASES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(get_args(CaseName))}", param_hint="--case")
    case, out = CASES[name], console()
    with progress_bars() as progress:
        log = open_case(name, progress)
    with log.agent:
        with progress_bars() as progress:
            model = open_model(llm, tell=lambda words: progress.step(words, 0))
            teller = Agent(log.catalogue, model, fitted=Fitted.default())
            story = tell_story(log, teller, progress)
        if not json:
            out.print(story_screen(case, story, View(verbose=verbose)))
        with progress_bars() as progress:
            lists = measure_lists(log, case, people=people, progress=progress)
            topics = measure_topics(log, progress=progress)
    if json:
        book = {"book": case.book, "book_cf": case.book_cf}
        about = {"case": name, "log": case.log, "caution": case.caution, "weights": case.weights}
        print_json({**about, "story": story.document(), "lists": lists, "topics": topics, **book})
    else:
        out.print(table_screen(case, lists, topics))
