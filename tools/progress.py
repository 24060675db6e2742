"""Progress of a long operation, reported to whoever shows it."""

from typing import Protocol


class Progress(Protocol):
    """Shows how far a long operation is. An operation has steps, one after the other."""

    def step(self, name: str, total: int | None) -> None:
        """Begin the step `name`, which ends the one before; `total` is its amount of work, None if unknown."""

    def advance(self, done: int) -> None:
        """Count `done` more units of work in the current step."""


class NoProgress:
    """Shows nothing."""

    def step(self, name: str, total: int | None) -> None:
        """Do nothing."""

    def advance(self, done: int) -> None:
        """Do nothing."""
