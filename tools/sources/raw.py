"""What every table reader yields: rows as columns of texts, before they are mapped to fields."""

from collections.abc import Iterator, Mapping, Sequence
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


class Table(Protocol):
    """A file that holds a table. It can be read any number of times."""

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""

    @property
    def has_header(self) -> bool:
        """Whether the file names its columns."""

    @property
    def total(self) -> int:
        """The `position` of the last batch."""

    def batches(self, size: int = ...) -> Iterator[RawBatch]:
        """Yield the rows, at most about `size` in a batch."""
