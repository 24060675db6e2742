"""What a person sees on stderr while they wait: bars, steps, a sign of life."""

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
"""What a person reads while a step of the pipeline runs, in the order of the steps."""


class ProgressBars:
    """Shows a bar with an estimate for each step of a long operation (see `tools.progress.Progress`)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def step(self, name: str, total: int | None) -> None:
        """Begin a bar; the one before is filled."""
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
            # a step of unknown length ends with what it did; one without any work shows a full bar, not an empty one
            task = self._progress.tasks[self._task]
            self._progress.update(self._task, total=task.completed or 1, completed=task.completed or 1)


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Show bars while the block runs. The last one is filled only if the block ends well."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console(stderr=True))
    bars = ProgressBars(progress)
    try:
        yield bars
        bars.finish()
    finally:
        if progress.tasks:
            progress.stop()


class StepStatus:
    """Shows which step of the pipeline runs. Call it with the name of each step that ended."""

    def __init__(self, update: Callable[[str], None]) -> None:
        self._update = update

    def __call__(self, ended: str) -> None:
        """Show the step after the one that ended."""
        names = list(STEPS)
        next_step = names.index(ended) + 1 if ended in STEPS else 0
        if next_step < len(names):
            self.show(STEPS[names[next_step]])

    def show(self, words: str) -> None:
        """Show what goes on."""
        self._update(f"{words}...")


@contextmanager
def steps() -> Iterator[StepStatus]:
    """Show which step runs while the block runs, if stderr is a terminal."""
    with console(stderr=True).status(f"{STEPS['recall']}...") as status:
        yield StepStatus(lambda words: status.update(words))


def watched(work: Callable[[Callable[[str], None]], Iterator[T]], doing: str) -> Iterator[T]:
    """Yield what `work` yields, and show what it is doing meanwhile, if stderr is a terminal.

    Args:
        work: Takes a function that shows other words.
        doing: The words to begin with.
    """
    with console(stderr=True).status(f"{doing}...") as status:
        yield from work(lambda words: status.update(f"{words}..."))


@contextmanager
def thinking(*, shown: bool) -> Iterator[None]:
    """Show a sign of life while the block makes an answer."""
    if not shown:
        yield
        return
    with console(stderr=True).status("Thinking..."):
        yield
