"""Show recommendations in a terminal: the summary, the shift of interest, and the list with its reasons."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whimbrel.agent.display.terminal import View
from whimbrel.agent.display.wrapping import Prose
from whimbrel.agent.schema.results import Recommendations, RequestUsage, Shift

BAR = 20
"""Columns of the bar that shows a probability."""


def recommendations(
    answer: Recommendations, view: View, notes: Mapping[str, Sequence[str]] | None = None
) -> RenderableType:
    """Show a whole answer: the summary, the shift with its events, the list, and notes.

    Args:
        answer: The answer.
        view: How it is shown.
        notes: Further lines for each item, keyed by its id.
    """
    screen = view.say.screen
    who = screen.user.format(user=answer.user_id) if answer.user_id else screen.somebody_new
    title = screen.summary_title.format(who=escape(who), moment=view.moment(answer.at))
    parts: list[RenderableType] = [
        Panel(Prose(answer.summary), title=title, title_align="left"),
        shift_panel(answer.shift, shift_title(answer.shift, view), view),
    ]
    if answer.recommendations:
        parts.append(recommended(answer, view, notes))
    if view.verbose:
        parts.append(_usage(answer.usage))
    return Group(*parts, *view.notes((*answer.path, *answer.warnings)))


def shift_title(shift: Shift, view: View, *, at: float | None = None) -> str:
    """Write the headline of a shift. A shift that is not sure enough is only a possible move.

    Args:
        shift: The shift.
        view: How it is shown.
        at: The moment of the prediction, if the headline names it.
    """
    screen, kind = view.say.screen, view.say.screen.kinds[shift.kind]
    unsure = shift.kind != "none" and not shift.is_headline
    if at is None:
        return screen.maybe_title if unsure else screen.shift_title.format(kind=kind)
    moment = view.moment(at)
    return (
        screen.maybe_title_at.format(moment=moment)
        if unsure
        else screen.shift_title_at.format(moment=moment, kind=kind)
    )


def shift_panel(shift: Shift, title: str, view: View) -> RenderableType:
    """Show a shift: its probability, its topics, the reason and the events behind it."""
    screen = view.say.screen
    filled = int(shift.confidence * BAR)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")  # Chinese has no spaces to wrap at
    # Percents are cut and not rounded, so that only a certain prediction has a full bar and 100%.
    bar, percent = f"{'█' * filled}{'░' * (BAR - filled)}", int(shift.confidence * 100)
    from_topics, to_topics = map(view.say.writing.comma.join, (shift.from_topics, shift.to_topics))
    if shift.kind == "none":
        if shift.confidence:  # It is 0 where nothing is known: then there is no probability to show.
            table.add_row(screen.stays, f"{bar} {screen.stays_percent.format(percent=percent)}")
        rows = [(screen.from_, from_topics), (screen.next, to_topics)]
    elif shift.is_headline:
        table.add_row(screen.confidence, f"{bar} {percent}%")
        rows = [(screen.from_, from_topics), (screen.to, to_topics)]
    else:  # the topics that it leaves would read as if it left them
        rows = [(screen.maybe_to, screen.maybe_topics.format(topics=to_topics, percent=percent))]
    for label, topics in rows:
        if topics:
            table.add_row(label, Prose(topics))
    # The label begins the sentence, so the reason goes on in lower case.
    table.add_row(screen.because, Prose(shift.reason[:1].lower() + shift.reason[1:]))
    if shift.evidence:
        table.add_row(screen.events, Prose("\n".join(view.events(shift.evidence)), style="cyan"))
    return Panel(table, title=title, title_align="left")


def recommended(answer: Recommendations, view: View, notes: Mapping[str, Sequence[str]] | None = None) -> Table:
    """Show the list: each title with its reason and, if `verbose`, the cited events.

    Args:
        answer: The answer with the list.
        view: How it is shown.
        notes: Further lines for each item, keyed by its id.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column(ratio=1, overflow="fold")
    for entry in answer.recommendations:
        cell = Prose(entry.title, style="bold")
        cell.append(f"\n{entry.explanation}", style="not bold")
        for note in (notes or {}).get(entry.item_id, ()):
            cell.append(f"\n{note}", style="not bold dim")
        for line in view.events(entry.evidence) if view.verbose else ():
            cell.append(f"\n  event {line}", style="not bold cyan")
        table.add_row(f"{entry.rank}.", cell)
    return table


def _usage(usage: RequestUsage) -> Text:
    calls = f"{usage.llm_calls} call{'' if usage.llm_calls == 1 else 's'} of the language model"
    tokens = f"{usage.prompt_tokens} tokens in ({usage.cached_tokens} read before), {usage.completion_tokens} out"
    return Text(f"{usage.seconds:.1f} s; {calls}: {tokens}", style="dim")
