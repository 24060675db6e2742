"""Say when an event was, as seen from the moment of a request."""

from datetime import UTC, datetime

import numpy as np

from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.timestamps import DAY_SECONDS


def date_of(time: float, say: Phrases) -> str:
    """Return the UTC date of a time: `1 May 2020`."""
    return say.writing.date.format(time=datetime.fromtimestamp(time, tz=UTC))


def day_of(time: float, moment: float, say: Phrases) -> str:
    """Return when an event was: `last Saturday`, `3 weeks ago`, `on 1 May 2020`.

    Days are UTC days, like every date that is shown, because a log does not keep local times.

    Args:
        time: The time of the event in Unix seconds.
        moment: The time of the request. If it is infinite, because no moment is known, the date is returned.
        say: The sentences of the language.
    """
    days, phrases = (moment - time) / DAY_SECONDS, say.reasons.day
    # An event of longer ago is given its date, because nobody counts more weeks than the phrases have.
    if not np.isfinite(moment) or not 0 <= days < 7 * (len(phrases.weeks) + 1):
        return phrases.on.format(date=date_of(time, say))
    if days < 1:
        return phrases.hours
    if days >= 7:
        return phrases.weeks[int(days / 7) - 1]
    day = datetime.fromtimestamp(time, tz=UTC)
    if (datetime.fromtimestamp(moment, tz=UTC).date() - day.date()).days == 1:
        return phrases.yesterday
    return phrases.weekday.format(weekday=phrases.weekdays[day.weekday()])
