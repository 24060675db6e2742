"""What `whimbrel models check` and `bench` show a person in a terminal."""

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from whimbrel.evals.models.bench import Speed
from whimbrel.evals.models.check import Finding


def finding(found: Finding) -> RenderableType:
    """One line on a model."""
    mark = {True: "[green]ok[/]", False: "[red]no[/]", None: ""}[found.ok]
    return _line(mark, found.name, found.words)


def speed(found: Speed) -> RenderableType:
    """One line on a model's speed."""
    parts = [f"{found.ours:.3g} {found.unit}"]
    if found.bare is not None and found.ratio is not None:
        parts.append(f"bare llama.cpp {found.bare:.3g}: {found.ratio:.2f} times its time")
    return _line("", found.name, "; ".join([*parts, *filter(None, [found.note])]))


def _line(mark: str, name: str, words: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(width=37)
    grid.add_column()
    grid.add_row(mark, escape(name), escape(words))
    return grid
