"""Progress of a long operation, reported to an object that displays it."""

from typing import Protocol


class Progress(Protocol):
    """Displays how far a long operation has come. An operation has steps, one after the other."""

    def step(self, name: str, total: int | None) -> None:
        """Begin the step `name` and end the previous one. `total` is its amount of work, None if unknown."""

    def advance(self, done: int) -> None:
        """Count `done` more units of work in the current step."""


class NoProgress:
    """Displays nothing."""

    def step(self, name: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""
