"""What every table reader yields: rows as columns of texts, before they are mapped to fields."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from whimbrel.tools.sources.rows import Unreadable


class RawBatch(NamedTuple):
    """Rows of a table.

    Attributes:
        lines: The line number of each row, counted from 1.
        columns: The texts of each column, as many as lines; None for no value.
        unreadable: Further rows, which cannot be read.
        position: How much of the file was read up to the end of the batch.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[str | None]]
    unreadable: Sequence[Unreadable] = ()
    position: int = 0


def unique_names(names: Iterable[str]) -> list[str]:
    """Return the names of columns. A name that occurs again gets a number, and no name becomes a blank one."""
    counts: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        counts[name] += 1
        numbered = f"{name} ({counts[name]})" if counts[name] > 1 else name
        unique.append(numbered if name else " " * (len(unique) + 1))
    return unique


class Table(Protocol):
    """A file that holds a table. It can be read any number of times."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""

    @property
    def has_header(self) -> bool:
        """Whether the file names its columns."""

    @property
    def has_fixed_names(self) -> bool:
        """Whether all rows have the same columns."""

    @property
    def total(self) -> int:
        """The `position` of the last batch."""

    def batches(self, size: int = ..., only: Collection[str] | None = None) -> Iterator[RawBatch]:
        """Yield the rows, at most about `size` in a batch. Columns other than `only` may be left out."""
