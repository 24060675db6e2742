"""Show progress on stderr while a person waits: bars, the current step, or that an answer is being made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from whimbrel.agent.display.terminal import console

T = TypeVar("T")

STEPS = {
    "recall": "Reading the history",
    "summarise": "Summarising",
    "predict_shift": "Predicting the shift",
    "interest": "Following the interest",
    "retrieve": "Retrieving",
    "compare": "Comparing",
    "rank": "Ranking",
    "explain": "Explaining",
}
"""The words shown while each step of the pipeline runs, in the order of the steps."""


class ProgressBars:
    """Shows a bar with an estimate for each step of a long operation (see `tools.progress.Progress`)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def step(self, name: str, total: int | None) -> None:
        """Fill the current bar and begin a new one."""
        self.finish()
        self._progress.start()
        self._task = self._progress.add_task(name, total=total)

    def advance(self, done: int) -> None:
        """Move the current bar on."""
        if self._task is not None:
            self._progress.advance(self._task, done)

    def finish(self) -> None:
        """Fill the current bar."""
        if self._task is not None:
            # The total of a step of unknown length becomes what it did. A step without work shows a full bar.
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, total=task.completed or 1, completed=task.completed or 1)


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Show bars while the block runs. The last bar is only filled if the block ends without an error."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    terminal = console(stderr=True)
    # A notebook could show these bars only with one more library.
    progress = Progress(*columns, console=terminal, disable=terminal.is_jupyter)
    bars = ProgressBars(progress)
    try:
        yield bars
        bars.finish()
    finally:
        if progress.tasks:
            progress.stop()


class StepStatus:
    """Shows which step of the pipeline runs. Call it with the name of each step as it ends."""

    def __init__(self, update: Callable[[str], None]) -> None:
        self._update = update

    def __call__(self, ended: str) -> None:
        """Show the step after the one that ended."""
        names = list(STEPS)
        next_step = names.index(ended) + 1 if ended in STEPS else 0
        if next_step < len(names):
            self.show(STEPS[names[next_step]])

    def show(self, words: str) -> None:
        """Show these words as the current activity."""
        self._update(f"{words}...")


@contextmanager
def steps() -> Iterator[StepStatus]:
    """Show the current step while the block runs, if stderr is a terminal."""
    with console(stderr=True).status(f"{STEPS['recall']}...") as status:
        yield StepStatus(lambda words: status.update(words))


def watched(work: Callable[[Callable[[str], None]], Iterator[T]], doing: str) -> Iterator[T]:
    """Yield what `work` yields. If stderr is a terminal, show the current activity at the same time.

    Args:
        work: It is called with a function that changes the shown words.
        doing: The words that are shown first.
    """
    with console(stderr=True).status(f"{doing}...") as status:
        yield from work(lambda words: status.update(f"{words}..."))


@contextmanager
def thinking(words: str, *, shown: bool) -> Iterator[None]:
    """Show words such as "Thinking..." while the block makes an answer, if `shown`."""
    if not shown:
        yield
        return
    with console(stderr=True).status(words):
        yield
