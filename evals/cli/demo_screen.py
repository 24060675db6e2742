"""Show a case of the demonstration in a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whimbrel.agent.display.recommendations import recommended, shift_panel, shift_title
from whimbrel.agent.display.terminal import View
from whimbrel.agent.display.wrapping import Prose
from whimbrel.evals.studies.demo_cases import DemoCase
from whimbrel.evals.studies.demo_story import NEXT_DAYS, SUREST, Story
from whimbrel.evals.studies.demo_table import METRICS, TOPIC_METRICS

SHOWN_CHOSEN = 8
"""Most titles of chosen items that are shown."""

Figure = Mapping[str, Any]


def story_screen(case: DemoCase, story: Story, view: View) -> RenderableType:
    """Show the person, the shift, both lists side by side, and what came next."""
    lists = Table(expand=True, padding=(0, 1))
    titles = ("Before the shift", "After the shift") if story.shift.kind != "none" else ("Earlier", "Now")
    for words, answer in zip(titles, (story.before, story.after), strict=True):
        lists.add_column(f"{words}{_moment(story, answer.at, view)}", ratio=1)
    lists.add_row(recommended(story.before, view), recommended(story.after, view))
    return Group(
        Prose(f"{case.log}. {case.caution}".strip()),
        Prose(rule_sentence(story)),
        Text(""),
        shift_panel(story.shift, shift_title(story.shift, view), view),
        lists,
        *(Prose(sentence) for sentence in outcome_sentences(story)),
    )


def rule_sentence(story: Story) -> str:
    """Say by which rule the person was chosen, and what is known of them."""
    known = "It knows only what was before the moment asked about."
    rule = f"the one of {SUREST} whose list moves most towards the topics"
    if story.shift.kind != "none":
        surest = f"Of {story.read} people, Whimbrel is surest of a shift for {SUREST}."
        return f"{surest} It shows {story.user_id}, {rule}. {known}"
    return (
        f"Of {story.read} people, Whimbrel names a shift for fewer than {SUREST}. It takes those whose interest most "
        f"probably moves, and shows {story.user_id} ({story.moves:.0%}), {rule} that are likeliest next. {known}"
    )


def _moment(story: Story, at: float, view: View) -> str:
    # Without times, a moment counts the events. It would read as the year 1970.
    return f", {view.moment(at)}" if story.timed else ""


def outcome_sentences(story: Story) -> Iterator[str]:
    """Say how far the list follows the shift, and what was really chosen next."""
    topics, of = ", ".join(story.shift.to_topics), len(story.after.recommendations)
    kind = "a topic of the shift" if story.shift.kind != "none" else "a likely topic"
    yield f"Items with {kind} ({topics}): {story.in_before} of {of} before, {story.in_after} of {of} after."
    within = f"in the next {NEXT_DAYS} days" if story.timed else "next"
    shown = "; ".join(story.chosen[:SHOWN_CHOSEN])
    more = len(story.chosen) - SHOWN_CHOSEN
    yield f"Really chosen {within}: {shown}{f' and {more} more' if more > 0 else ''}."
    came_true = f"Something with {kind} was {'' if story.came_true else 'not '}chosen."
    yield (
        f"{'A hit' if story.hits_after else 'A miss'}: {story.hits_after} of the {of} items of the list after were "
        f"chosen, of the list before {story.hits_before}. Something with a common topic was chosen for "
        f"{story.alike_after} of the {of}. {came_true}"
    )


def table_screen(case: DemoCase, lists: Figure, topics: Figure) -> RenderableType:
    """Show the two tables of a case, with the definitions that they need."""
    difference = "; ".join(f"{metric} {_figure(value, '+')}" for metric, value in lists["whimbrel minus cf"].items())
    notes = (
        f"Accuracy is the share of all {lists['candidates']:,} items that a list treats right: listed and chosen, or "
        f"neither. A list that holds nothing has {_number(lists['accuracy of an empty list'])}. Each person chose "
        f"{lists['chosen']:.1f} new items.",
        f"Whimbrel less user-based CF, paired: {difference}.",
    )
    of_book = {"the book claims": case.book, "the book's CF": case.book_cf}
    rows = {words: [_number(value / 100, ".2f") for value in (*row, _f1(row))] for words, row in of_book.items()}
    return Group(
        Text(""),
        Prose(f"Lists of {lists['k']} for {lists['n']} people, blind, without a language model, with {case.weights}:"),
        _table(METRICS, lists["system"], {}),
        *(Prose(note) for note in notes),
        Text(""),
        Prose(
            f"Which topics come in the next window, {topics['n']} people, {topics['pairs']:,} pairs of a person and a "
            "topic. This is what the book's claims are about:"
        ),
        _table(TOPIC_METRICS, topics["system"], rows),
        Prose(
            f'The constant answer "no topic comes" has an accuracy of {_number(topics["accuracy of never"])}. F1 of '
            f"Whimbrel is {topics['f1 to cf']['value']:.2f} {_range(topics['f1 to cf']['ci'], '.2f')} times that of "
            f"user-based CF, by the book {_f1(case.book) / _f1(case.book_cf):.2f} times."
        ),
        Prose("Brackets hold 95% intervals over people."),
    )


def _table(metrics: tuple[str, ...], systems: Mapping[str, Figure], more: Mapping[str, list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for metric in metrics:
        table.add_column({"f1": "F1", "ndcg": "NDCG"}.get(metric, metric), justify="right")
    for name, row in systems.items():
        table.add_row(name, *(_figure(row[metric]).replace(" ", "\n", 1) for metric in metrics))
    for name, cells in more.items():
        table.add_row(name, *cells)
    return table


def _f1(figures: tuple[int, int, int]) -> float:
    _, precision, recall = figures
    return 2 * precision * recall / (precision + recall)


def _number(value: float, form: str = ".3f") -> str:
    return f"{value:{form}}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:{form}}"


def _range(ci: list[float], form: str = ".3f") -> str:
    return f"[{_number(ci[0], form)}, {_number(ci[1], form)}]"


def _figure(figure: Figure, sign: str = "") -> str:
    form = f"{sign}.3f"
    return f"{_number(figure['value'], form)} [{_number(figure['ci'][0], form)}, {_number(figure['ci'][1], form)}]"
