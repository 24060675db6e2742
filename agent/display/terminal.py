"""The terminal: how wide it is, and how a person wants answers shown."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from whimbrel.agent.explanation.events import event_line
from whimbrel.agent.schema.results import CitedEvent, is_model_note
from whimbrel.prompts.phrases import Language, Phrases, load_phrases

WIDEST = 110
"""Columns: a longer line is hard to read. A pipe gets as many."""


def console(*, stderr: bool = False) -> Console:
    """Open the terminal, as wide as it is up to WIDEST."""
    terminal = Console(stderr=stderr, highlight=False, emoji=False)
    # rich takes a pipe for 80 columns
    if (not terminal.is_terminal and "COLUMNS" not in os.environ) or terminal.width > WIDEST:
        terminal.width = WIDEST
    return terminal


@dataclass(frozen=True)
class View:
    """How a person wants answers shown.

    Attributes:
        language: The language of titles and labels.
        verbose: Whether event ids, what the model cost, and reports on its replies are shown too.
    """

    language: Language = "en"
    verbose: bool = False

    @property
    def say(self) -> Phrases:
        """The sentences of the language."""
        return load_phrases(self.language)

    def moment(self, time: float) -> str:
        """Write a time, in UTC: `Sat 8 July 2017, 17:18`."""
        return self.say.writing.moment.format(time=datetime.fromtimestamp(time, tz=UTC))

    def date(self, time: float) -> str:
        """Write the day of a time, in UTC: `8 July 2017`."""
        return self.say.writing.date.format(time=datetime.fromtimestamp(time, tz=UTC))

    def events(self, events: Sequence[CitedEvent]) -> list[str]:
        """Write one line an event. Without `verbose`, lines that read the same are written once."""
        if not self.verbose:  # a basket may hold two items of one title, which differ by id alone
            return list(dict.fromkeys(event_line(event, self.say) for event in events))
        moments = [self.say.screen.time_unknown if event.time is None else self.moment(event.time) for event in events]
        return [
            f"{event.event_id}  {moment}  {event.event}  {event.title}"
            for event, moment in zip(events, moments, strict=True)
        ]

    def notes(self, warnings: Sequence[str]) -> list[Text]:
        """Write the warnings. Without `verbose`, reports on the model's replies are left out: nobody has to act."""
        shown = [warning for warning in warnings if self.verbose or not is_model_note(warning)]
        return [Text(self.say.screen.note.format(words=warning), style="yellow") for warning in shown]
