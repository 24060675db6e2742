"""Checks of one explanation: whether its cited events happened, and whether it names only what it was given."""

import re
from collections.abc import Sequence

from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.schema.results import CitedEvent, Recommendation
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Interaction

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


def wrong_others(entry: Recommendation, log: InteractionLog, *, user_id: str, at: float) -> str:
    """Return what is wrong with a reason that mentions other people.

    Empty if the reason is true. Then, for each cited event, another user interacted with both the cited and the
    recommended item before `at`.
    """

    def others_who_met(item_id: str) -> set[int]:
        (row,) = log.rows([item_id])
        return set(log.user[(log.item == row) & (log.time < at)].tolist()) - {log.user_rows[user_id]}

    chose_item = others_who_met(entry.item_id)
    if any(chose_item.isdisjoint(others_who_met(cited.item_id)) for cited in entry.evidence):
        return "nobody else did that and chose the item"
    return ""


def without_names(sentence: str, *, titles: Sequence[str], topics: Sequence[str], days: Sequence[str]) -> str:
    """Return a sentence in which `_` replaces each of these names, with or without quotation marks.

    Example:
        >>> without_names("You bought 'Green tea' on 1 May 2020.", titles=["Green tea"], topics=[], days=["1 May 2020"])
        'You bought _ on _.'
    """
    names = {*titles, *map(short_name, titles), *topics, *days} - {""}
    # The longest name comes first, since one title may be part of another.
    alternatives = "|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name))))
    pattern = rf"'(?:{alternatives})'|“(?:{alternatives})”|(?<![^\W_])(?:{alternatives})(?![^\W_])"
    return re.sub(pattern, "_", sentence) if alternatives else sentence


def foreign_names(rest: str, phrases: Phrases) -> list[str]:
    """Return all parts of a sentence that still look like names after `without_names`.

    These are quoted parts and capitalised words. At the beginning of a sentence, words of our own phrases do not count.
    A name in small letters without quotation marks is not found.
    """
    our_words = phrases.generated.reason_words | phrases.generated.others_words | {"chosen", "nothing"}
    unquoted = _QUOTED.sub(" ", rest)
    beginnings = {match.end() for match in re.finditer(r"^|[.!?;:] ", unquoted)}
    capitalised = [match for match in _WORD.finditer(unquoted) if match[0][0].isupper()]
    return [match[0] for match in _QUOTED.finditer(rest)] + [
        match[0] for match in capitalised if match.start() not in beginnings or match[0].casefold() not in our_words
    ]
