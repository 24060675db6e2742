"""Lines that `whimbrel models check` and `bench` print to a terminal."""

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from whimbrel.evals.models.bench import Speed
from whimbrel.evals.models.check import Finding


def finding_line(finding: Finding) -> RenderableType:
    """Return the line that shows a finding."""
    mark = {True: "[green]ok[/]", False: "[red]no[/]", None: ""}[finding.ok]
    return _line(mark, finding.name, finding.words)


def speed_line(speed: Speed) -> RenderableType:
    """Return the line that shows a speed."""
    parts = [f"{speed.ours:.3g} {speed.unit}"]
    if speed.bare is not None and speed.ratio is not None:
        parts.append(f"bare llama.cpp {speed.bare:.3g}: {speed.ratio:.2f} times its time")
    return _line("", speed.name, "; ".join([*parts, *filter(None, [speed.note])]))


def _line(mark: str, name: str, words: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(width=37)
    grid.add_column()
    grid.add_row(mark, escape(name), escape(words))
    return grid
