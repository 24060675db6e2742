"""Checks of one explanation: whether its cited events happened, and whether it names only what it was given."""

import re
from collections.abc import Sequence

from whimbrel.agent.explanation.facts import WINDOWS
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.language_models.grounding import HAN
from whimbrel.agent.schema.results import CitedEvent, Recommendation
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Interaction
from whimbrel.tools.timestamps import DAY_SECONDS

_QUOTED = re.compile(r"(?<!\w)'[^']*\w[^']*'(?!\w)|\"[^\"]*\w[^\"]*\"|“[^”]*\w[^”]*”|《[^》]*》|「[^」]*」")
_WORD = re.compile(r"[^\W\d_][\w'’]*")


def wrong_citation(cited: CitedEvent, history: Sequence[Interaction], *, user_id: str, at: float) -> str:
    """Return what is wrong with a cited event.

    Empty if the user's history has this very event before `at`.
    """
    event = next((event for event in history if event.event_id == cited.event_id), None)
    if event is None or event.user_id != user_id:
        return "is no event of this user"
    if event.time >= at:
        return "did not happen before"
    # The user reads the title, time and kind of the event, so all of these must be true.
    shown = (cited.item_id, cited.title, cited.time, cited.event)
    return "" if shown == (event.item_id, event.title, event.time, event.event) else "is told otherwise"


def wrong_others(entry: Recommendation, figures: set[int], log: InteractionLog, *, user_id: str, at: float) -> str:
    """Return what is wrong with the figures of a reason that mentions other people.

    Empty if each of them is the number of other users who, before `at`, interacted with the item and with cited items,
    or with these alone, or with the item lately.

    Args:
        entry: The recommendation.
        figures: The numbers in its reason, beside those of names, dates and ratings.
        log: The interactions of all users.
        user_id: The user who gets the recommendation.
        at: The moment of the recommendation.
    """

    def others_who_met(item_id: str, since: float = 0.0) -> set[int]:
        (row,) = log.rows([item_id])
        met = (log.item == row) & (log.time < at) & (log.time >= since)
        return set(log.user[met].tolist()) - {log.user_rows[user_id]}

    chose_item = others_who_met(entry.item_id)
    cited = [others_who_met(event.item_id) for event in entry.evidence]
    groups = [*cited, set.intersection(*cited)] if cited else []
    starts = [at - days * DAY_SECONDS for days in WINDOWS.values()] + [event.time or 0.0 for event in entry.evidence]
    counts = {len(chose_item), *(len(others_who_met(entry.item_id, since)) for since in starts)}
    counts |= {len(group) for group in groups} | {len(group & chose_item) for group in groups}
    return "" if figures <= counts else "counts other people wrongly"


def pattern_of(rest: str, phrases: Phrases) -> str:
    """Return a sentence as a pattern, from what `without_names` left: `_` for names and days, `#` for numbers.

    Example:
        >>> from whimbrel.prompts.phrases import load_phrases
        >>> pattern_of("You rated _ 5 last Friday and _ 4 on _; both are _ and _.", load_phrases("en"))
        'You rated _; both are _.'
    """
    day = phrases.reasons.day
    days = [day.hours, day.yesterday, *day.weeks, day.on.format(date="_")]
    days += [day.weekday.format(weekday=weekday) for weekday in day.weekdays]
    for known in sorted(days, key=len, reverse=True):
        rest = rest.replace(known, "_")
    rest = re.sub(r"\d[\d,.]*(?<![,.])", "#", rest)
    # A list of names is one name, whatever its length, with or without a rating and a day.
    rest = re.sub(r"_(?:\s*[（(]?#分?[）)]?)", "_", rest)
    joined = "|".join(map(re.escape, {phrases.writing.comma, phrases.writing.conjunction, phrases.reasons.also_did}))
    return re.sub(rf"_(?:(?:{joined}|\s*)_)+", "_", rest)


def without_names(sentence: str, *, titles: Sequence[str], topics: Sequence[str], days: Sequence[str]) -> str:
    """Return a sentence in which `_` replaces each of these names, with or without quotation marks.

    Example:
        >>> without_names("You bought 'Green tea' on 1 May 2020.", titles=["Green tea"], topics=[], days=["1 May 2020"])
        'You bought _ on _.'
    """
    names = {*titles, *map(short_name, titles), *topics, *days} - {""}
    # The longest name comes first, since one title may be part of another.
    alternatives = "|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name))))
    pattern = rf"'(?:{alternatives})'|“(?:{alternatives})”|(?<![^\W_{HAN}])(?:{alternatives})(?![^\W_{HAN}])"
    return re.sub(pattern, "_", sentence) if alternatives else sentence


def foreign_names(rest: str, phrases: Phrases) -> list[str]:
    """Return all parts of a sentence that still look like names after `without_names`.

    These are quoted parts and capitalised words. At the beginning of a sentence, words of our own phrases do not count.
    A name in small letters without quotation marks is not found.
    """
    our_words = phrases.generated.reason_words | phrases.generated.others_words | {*phrases.generated.free.openers}
    unquoted = _QUOTED.sub(" ", rest)
    beginnings = {match.end() for match in re.finditer(r"^|[.!?;:] ", unquoted)}
    capitalised = [match for match in _WORD.finditer(unquoted) if match[0][0].isupper()]
    return [match[0] for match in _QUOTED.finditer(rest)] + [
        match[0] for match in capitalised if match.start() not in beginnings or match[0].casefold() not in our_words
    ]
