"""The report of an ingestion: what was read, guessed, mended and rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whimbrel.tools.timestamps import iso


@dataclass(frozen=True)
class Rejection:
    """A kind of rejected rows: the reason, how many there are, and the line number of the first."""

    reason: str
    count: int
    first_line: int


@dataclass(frozen=True)
class Modality:
    """Further vectors of the items of a source, such as of their images.

    Attributes:
        items: Items of the store that have a vector.
        new: Vectors that the store did not hold before.
        length: The numbers of a vector.
        rejected: Vectors or images that cannot be read.
        seconds: How long it took to read and encode the new images; None for vectors that the source gives.
    """

    items: int
    new: int
    length: int
    rejected: int
    seconds: float | None = None

    @property
    def per_second(self) -> float | None:
        """How many images were encoded in a second; None if none was."""
        return self.new / self.seconds if self.seconds and self.new else None


@dataclass(frozen=True)
class Ingested:
    """What an ingestion read and wrote.

    Attributes:
        rows: Rows of the source: `events + repeated + rejected`, and those of a catalogue that the source contains.
        item_rows: Rows of a catalogue in a file of its own.
        catalogue: Valid rows that describe an item and hold no event.
        events: Distinct events of the source.
        new_events: Events that the store did not hold before.
        users: Distinct users of the source.
        items: Distinct items of the source.
        new_items: Items that the store did not hold before, or of which it did not hold all facts.
        repeated: Rows that repeat an event.
        rejected: Rows of the source that are not valid.
        item_rejected: Rows of a catalogue in a file of its own that are not valid.
        rejects: The file of the rejected rows; None if there are none.
        span: The times of the first and the last event, in Unix seconds.
        timezone: The zone of local times that was given; "" for none.
        guessed: The field of each column that was guessed, keyed by column.
        mended: How many values of each kind were changed or left out.
        rejections: The rejected rows by kind, the most frequent first.
        event_words: How often each event word occurs.
        alike: Groups of topics that look alike and yet count as different.
        warnings: What a person should check.
        unused: Columns that hold no field.
        modalities: Further vectors of items, keyed by what they are of.
    """

    rows: int
    catalogue: int
    events: int
    new_events: int
    users: int
    items: int
    new_items: int
    repeated: int
    rejected: int
    rejects: Path | None
    item_rows: int = 0
    item_rejected: int = 0
    span: tuple[float, float] | None = None
    timezone: str = ""
    guessed: Mapping[str, str] = field(default_factory=dict)
    mended: Mapping[str, int] = field(default_factory=dict)
    rejections: Sequence[Rejection] = ()
    event_words: Mapping[str, int] = field(default_factory=dict)
    alike: Sequence[Sequence[str]] = ()
    warnings: Sequence[str] = ()
    unused: Sequence[str] = ()
    modalities: Mapping[str, Modality] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """Return the report as a JSON document."""
        return {
            **vars(self),
            "rejects": str(self.rejects) if self.rejects else None,
            "span": [iso(time) for time in self.span] if self.span else None,
            "guessed": dict(self.guessed),
            "mended": dict(self.mended),
            "rejections": [vars(rejection) for rejection in self.rejections],
            "event_words": dict(self.event_words),
            "alike": [list(group) for group in self.alike],
            "warnings": list(self.warnings),
            "unused": list(self.unused),
            "modalities": {name: vars(of) | {"per_second": of.per_second} for name, of in self.modalities.items()},
        }
