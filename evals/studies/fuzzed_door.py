"""A door to fuzz."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from whimbrel.evals.studies.mutations import Files
from whimbrel.tools.errors import WhimbrelError


@dataclass(frozen=True)
class Door:
    """A way by which something that others wrote comes in.

    Attributes:
        seeds: Valid inputs, as files. They are changed at random.
        enter: Reads the files of an input from a folder.
        refusals: The errors by which an input may be refused.
    """

    seeds: Sequence[Files]
    enter: Callable[[Path], object]
    refusals: tuple[type[Exception], ...] = (WhimbrelError,)


def only_text(folder: Path) -> str:
    """Return the text of the only file of an input. Bytes outside UTF-8 become lone surrogates."""
    return "".join(path.read_bytes().decode("utf-8", "surrogateescape") for path in folder.iterdir())
