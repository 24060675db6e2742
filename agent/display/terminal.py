"""The width of the terminal, and how answers are shown to a person."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from rich.console import Console

from whimbrel.agent.display.wrapping import Prose
from whimbrel.agent.explanation.events import event_line
from whimbrel.agent.schema.results import CitedEvent, is_model_note
from whimbrel.prompts.phrases import Language, Phrases, load_phrases

WIDEST = 110
"""Most columns of a line, because longer lines are hard to read. A pipe gets this number, too."""


def console(*, stderr: bool = False) -> Console:
    """Open the terminal with its own width, but at most WIDEST columns."""
    terminal = Console(stderr=stderr, highlight=False, emoji=False)
    # Rich assumes 80 columns for a pipe.
    if (not terminal.is_terminal and "COLUMNS" not in os.environ) or terminal.width > WIDEST:
        terminal.width = WIDEST
    return terminal


@dataclass(frozen=True)
class View:
    """How answers are shown to a person.

    Attributes:
        language: The language of titles and labels.
        verbose: Whether event ids, the model's cost, and notes about its replies are also shown.
        zone: The zone of all times.
    """

    language: Language = "en"
    verbose: bool = False
    zone: tzinfo = UTC

    @property
    def say(self) -> Phrases:
        """The sentences of the language."""
        return load_phrases(self.language, self.zone)

    def moment(self, time: float) -> str:
        """Write a time: `Sat 8 July 2017, 17:18`."""
        return self.say.moment(time)

    def date(self, time: float) -> str:
        """Write the day of a time: `8 July 2017`."""
        return self.say.date(time)

    def events(self, events: Sequence[CitedEvent]) -> list[str]:
        """Write one line for each event. Without `verbose`, lines that read the same are written once."""
        if not self.verbose:  # a basket may hold two items with the same title, which only differ in their id
            return list(dict.fromkeys(event_line(event, self.say) for event in events))
        moments = [self.say.screen.time_unknown if event.time is None else self.moment(event.time) for event in events]
        return [
            f"{event.event_id}  {moment}  {event.event}  {event.title}"
            for event, moment in zip(events, moments, strict=True)
        ]

    def notes(self, warnings: Sequence[str]) -> list[Prose]:
        """Write the warnings. Without `verbose`, notes about the model's replies are left out."""
        shown = [warning for warning in warnings if self.verbose or not is_model_note(warning)]
        return [Prose(self.say.screen.note.format(words=warning), style="yellow") for warning in shown]
