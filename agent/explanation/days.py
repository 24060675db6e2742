"""Say when an event was, as seen from the moment of a request."""

import numpy as np

from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.timestamps import DAY_SECONDS


def day_of(time: float, moment: float, say: Phrases) -> str:
    """Return when an event was: `last Saturday`, `3 weeks ago`, `on 1 May 2020`.

    Days are those of the zone in which the people live, `say.zone`.

    Args:
        time: The time of the event in Unix seconds.
        moment: The time of the request. If it is infinite, because no moment is known, the date is returned.
        say: The sentences of the language.
    """
    days, phrases = (moment - time) / DAY_SECONDS, say.reasons.day
    # An event of longer ago is given its date, because nobody counts more weeks than the phrases have.
    if not np.isfinite(moment) or not 0 <= days < 7 * (len(phrases.weeks) + 1):
        return phrases.on.format(date=say.date(time))
    if days < 1:
        return phrases.hours
    if days >= 7:
        return phrases.weeks[int(days / 7) - 1]
    day = say.local(time)
    if (say.local(moment).date() - day.date()).days == 1:
        return phrases.yesterday
    is_same_week = day.isocalendar()[:2] == say.local(moment).isocalendar()[:2]
    form = phrases.this_weekday if is_same_week else phrases.weekday
    return form.format(weekday=phrases.weekdays[day.weekday()])
