"""Write an event of the person in one line of plain words."""

from whimbrel.agent.schema.results import CitedEvent
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.event_meanings import meaning_of


def event_line(event: CitedEvent, say: Phrases) -> str:
    """Write an event of the person in one line: `Sat 8 July 2017, 17:18: bought 'Tea'`."""
    moment = say.screen.time_unknown if event.time is None else say.moment(event.time)
    title = say.writing.title.format(title=event.title)
    return say.screen.event.format(
        moment=moment, verb=say.events.verb(event.event, meaning_of(event.event)), title=title
    )
