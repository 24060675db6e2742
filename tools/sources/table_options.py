"""What a user says about a table: the options of `whimbrel ingest`."""

from collections.abc import Iterable
from dataclasses import dataclass

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.columns import Mapped
from whimbrel.tools.sources.rows import FIELDS, VECTOR, is_field


@dataclass(frozen=True)
class TableOptions:
    """How the user says that a table is to be read.

    Attributes:
        mapped: Pairs of column and field. The other columns are guessed.
        split: The characters that separate several topics in one text.
        time_format: How times are written (see `times.style_given`); "" to guess it.
        timezone: The zone of times without one; "" for UTC.
        encoding: The encoding of text files; None to find it out.
        header: Whether the first line names the columns; None to find it out.
    """

    mapped: Mapped = ()
    split: str = ""
    time_format: str = ""
    timezone: str = ""
    encoding: str | None = None
    header: bool | None = None

    @property
    def separators(self) -> str:
        """The characters that separate topics. A space separates only if there is nothing else."""
        return "".join(self.split.split()) or self.split


def parse_map(pairs: Iterable[str]) -> list[tuple[str, str]]:
    """Parse texts of the form `COLUMN=FIELD` into pairs of column and field.

    Raises:
        ConfigError: A text has no `=`, or a field is unknown.

    Example:
        >>> parse_map(["product=title", "city=context.place"])
        [('product', 'title'), ('city', 'context.place')]
    """
    mapped: list[tuple[str, str]] = []
    for pair in pairs:
        column, equals, name = pair.rpartition("=")
        if not equals or not column:
            raise ConfigError(f"--map {pair!r}: give COLUMN=FIELD, as in --map product_name=title")
        if not is_field(name):
            names = ", ".join([*FIELDS, "context.KEY", "field.NAME", "vector.NAME"])
            letters = ", whose NAME has lower-case letters, digits and _" if name.startswith(VECTOR) else ""
            raise ConfigError(f"--map {pair!r}: {name!r} is no field; fields are {names}{letters}")
        mapped.append((column, name))
    return mapped
