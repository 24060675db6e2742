"""The types of the sentences in the files of each language: which values they take, and how they count."""

import re
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _values_of(sentence: str) -> set[str]:
    """Return the names of the values that a sentence takes: `{day.year}` takes `day`."""
    return {re.split(r"[.\[]", name)[0] for _, name, *_ in Formatter().parse(sentence) if name is not None}


def takes(*names: str, optional: str = "") -> AfterValidator:
    """Check that a sentence takes exactly these values, and perhaps the optional one."""

    def check(sentence: str) -> str:
        if _values_of(sentence) - {optional} != set(names):
            raise ValueError(f"takes {sorted(_values_of(sentence))}, must take {sorted(names)}")
        return sentence

    return AfterValidator(check)


def takes_any(*names: str) -> AfterValidator:
    """Check that a sentence takes no other values than these. It may leave out any of them."""

    def check(sentence: str) -> str:
        if not _values_of(sentence) <= set(names):
            raise ValueError(f"takes {sorted(_values_of(sentence))}, may take {sorted(names)}")
        return sentence

    return AfterValidator(check)


def counts(*names: str) -> AfterValidator:
    """Check that a counted sentence takes exactly `count` and these values; the singular may leave out any of them."""

    def check(counted: "Counted") -> "Counted":
        taken, given = _values_of(counted.other), {"count", *names}
        if taken != given or not _values_of(counted.one) <= given:
            raise ValueError(f"takes {sorted(taken)}, must take {sorted(given)}")
        return counted

    return AfterValidator(check)


class Table(BaseModel):
    """One table of a file: all keys are required, and no other key may stand in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counted(Table):
    """A sentence about a number of things: `one` for a single thing, `other` for none or several."""

    one: str
    other: str

    def format(self, *, count: int, **values: object) -> str:
        """Return the sentence for a count.

        Example:
            >>> Counted(one="once", other="{count} times").format(count=1)
            'once'
        """
        return (self.one if count == 1 else self.other).format(count=f"{count:,}", **values)


def _split(text: object) -> object:
    return frozenset(text.split()) if isinstance(text, str) else text


Words = Annotated[frozenset[str], BeforeValidator(_split)]
"""A set of words; the file lists them in one text, with spaces between."""
