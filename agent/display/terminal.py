"""What a person sees in a terminal: recommendations, answers and progress."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from json import dumps
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from whimbrel.agent.demo import Next

from whimbrel.agent.chat.session import Answer
from whimbrel.agent.schema.results import CitedEvent, Recommendations, Shift

T = TypeVar("T")
WIDTH = 110
SHOWN_BOUGHT = 12
BAR = 20
STEPS = {
    "recall": "Reading the history",
    "summarise": "Summarising",
    "predict_shift": "Predicting the shift",
    "interest": "Following the interest",
    "retrieve": "Retrieving",
    "rank": "Ranking",
    "explain": "Explaining",
}
"""What a person is told while a step of the pipeline runs, in order."""


def console(*, stderr: bool = False) -> Console:
    """A terminal as wide as it is, up to a readable line; a pipe gets 110 columns."""
    made = Console(stderr=stderr, highlight=False, emoji=False)
    if (not made.is_terminal and "COLUMNS" not in os.environ) or made.width > WIDTH:
        made.width = WIDTH
    return made


def recommendations(found: Recommendations) -> RenderableType:
    """The context in words, the shift with its events, the list with reasons and cited events."""
    who = f"User {found.user_id}" if found.user_id else "Somebody new"
    parts: list[RenderableType] = [
        Panel(Text(found.summary), title=f"{escape(who)}, as of {moment(found.at)} UTC", title_align="left"),
        Panel(shift_lines(found.shift), title=f"Interest shift: {found.shift.kind}", title_align="left"),
    ]
    if found.recommendations:
        parts.append(_list(found))
    used = found.usage
    parts.append(
        Text(
            f"{used.seconds:.1f} s; {used.llm_calls} calls of the language model: {used.prompt_tokens} tokens in "
            f"({used.cached_tokens} read before), {used.completion_tokens} out",
            style="dim",
        )
    )
    parts += [Text(f"Note: {warning}", style="yellow") for warning in found.warnings]
    return Group(*parts)


def answer(said: Answer) -> RenderableType:
    """An answer of a conversation: its words, and the list, shorter than a first one."""
    parts: list[RenderableType] = [Text(said.words)] if said.words else []
    if said.recommendations:
        found = said.recommendations
        if found.shift.kind != "none":
            parts.append(
                Text(
                    f"Shift: {found.shift.kind} ({int(found.shift.confidence * 100)}%). {_ended(found.shift.reason)}",
                    style="dim",
                )
            )
        parts.append(_list(found))
        parts += [Text(f"Note: {warning}", style="yellow") for warning in found.warnings]
    return Group(*parts)


def teller(*, interactive: bool, json: bool) -> Callable[[Answer], None]:
    """Prints answers of a conversation: in full and in colour, as plain lines, or as one JSON document a line."""
    told: list[Answer] = []

    def tell(said: Answer) -> None:
        found = said.recommendations
        if json:
            document = {"answer": said.words, "recommendations": found.model_dump(mode="json") if found else None}
            print(dumps(document, ensure_ascii=False), flush=True)
        elif interactive:
            console().print(recommendations(found) if found and not told else answer(said))
        else:
            print(plain_answer(said, opening=not told), flush=True)
        told.append(said)

    return tell


def plain_answer(said: Answer, *, opening: bool) -> str:
    """The same for a pipe: one line a recommendation, an empty line at the end, the summary only at the beginning."""
    lines = [said.words] if said.words else []
    if said.recommendations:
        found = said.recommendations
        lines += [found.summary] if opening else []
        lines += [
            f"Shift: {found.shift.kind} ({int(found.shift.confidence * 100)}%). {_ended(found.shift.reason)}",
        ]
        lines += [f"{entry.rank}. {entry.title} - {entry.explanation}" for entry in found.recommendations]
        lines += [f"Note: {warning}" for warning in found.warnings]
    return "\n".join([*lines, ""])


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "。")) else f"{sentence}."


def shift_lines(shift: Shift) -> RenderableType:
    """Confidence, topics, reason and the events behind a shift."""
    filled = int(shift.confidence * BAR)
    lines = [Text(f"confidence {'█' * filled}{'░' * (BAR - filled)} {int(shift.confidence * 100)}%")]
    if shift.from_topics:
        lines.append(Text(f"from       {', '.join(shift.from_topics)}"))
    if shift.to_topics:
        lines.append(Text(f"{'to' if shift.kind != 'none' else 'next':<10} {', '.join(shift.to_topics)}"))
    lines.append(Text(f"because    {shift.reason}"))
    lines += [Text(f"  event    {_event(event)}", style="cyan") for event in shift.evidence]
    return Group(*lines)


def _list(found: Recommendations) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column(ratio=1)
    for entry in found.recommendations:
        cell = Text(entry.title, style="bold")
        cell.append(f"\n{entry.explanation}", style="not bold")
        for event in entry.evidence:
            cell.append(f"\n  event {_event(event)}", style="not bold cyan")
        table.add_row(f"{entry.rank}.", cell)
    return table


def _event(event: CitedEvent) -> str:
    when = moment(event.time) if event.time is not None else "no time known"
    return f"{event.event_id}  {when}  {event.event}  {event.title}"


def moment(time: float) -> str:
    """`Sun 15 Oct 2017 18:40`, in UTC."""
    return f"{datetime.fromtimestamp(time, tz=UTC):%a %-d %b %Y %H:%M}"


def outcome(following: "Next") -> RenderableType:
    """What really came next, and what of it was on the list."""
    bought = "; ".join(following.bought[:SHOWN_BOUGHT])
    more = len(following.bought) - SHOWN_BOUGHT
    words = Text(f"{bought}{f' and {more} more' if more > 0 else ''}\n")
    words.append(
        f"Of the {following.of} recommended, all of them new to this household, {following.hits} were bought in these "
        f"{following.days} days; of {following.topic_hits} something of the same kind was.",
        style="bold",
    )
    return Panel(words, title=f"What was bought in the next {following.days} days", title_align="left")


class IngestProgress:
    """Bars with an estimate, on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def step(self, name: str, total: int | None) -> None:
        self._finish()
        self._progress.start()
        self._task = self._progress.add_task(name, total=total)

    def advance(self, done: int) -> None:
        if self._task is not None:
            self._progress.advance(self._task, done)

    def _finish(self) -> None:
        if self._task is not None:
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, total=task.completed or 1, completed=task.completed or 1)


@contextmanager
def ingest_progress() -> Iterator[IngestProgress]:
    """Bars while the block runs; the last one is filled when it ends well."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console(stderr=True))
    shown = IngestProgress(progress)
    try:
        yield shown
        shown._finish()
    finally:
        if progress.tasks:
            progress.stop()


@contextmanager
def steps() -> Iterator["StepStatus"]:
    """Tells which step runs, on stderr, where that is a terminal."""
    with console(stderr=True).status(f"{STEPS['recall']}...") as status:
        yield StepStatus(status.update)


def watched(work: Callable[[Callable[[str], None]], Iterator[T]], doing: str) -> Iterator[T]:
    """What `work` brings, with a word on stderr, where that is a terminal, on what goes on meanwhile."""
    with console(stderr=True).status(f"{doing}...") as status:
        yield from work(lambda words: status.update(f"{words}..."))


@contextmanager
def thinking(*, shown: bool) -> Iterator[None]:
    """A sign of life on stderr while an answer is made."""
    if not shown:
        yield
        return
    with console(stderr=True).status("Thinking..."):
        yield


class StepStatus:
    """To be called with the name of each step that ended; `tell` shows other words."""

    def __init__(self, update: object) -> None:
        self._update = update

    def __call__(self, ended: str) -> None:
        names = list(STEPS)
        following = names.index(ended) + 1 if ended in STEPS else 0
        if following < len(names) and callable(self._update):
            self._update(f"{STEPS[names[following]]}...")

    def tell(self, words: str) -> None:
        """Show what goes on."""
        if callable(self._update):
            self._update(f"{words}...")
