"""Write plain reasons, without a language model, from the contributions of an item's signals."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

from whimbrel.agent.explanation.cite import Citation, by_cause
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import Shift
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.records import Interaction

LEAST_SHARE = 0.1
"""`why` names a cause if its contribution, for or against, is at least this share of the strongest contribution."""


def plain_reason(entry: Ranked, citation: Citation, shift: Shift, say: Phrases) -> str:
    """Write the reason for a ranked item.

    Example:
        "You bought 'Tea' on 1 May 2020; others who chose it also chose this."
    """
    reasons = say.reasons
    times = reasons.times.format(count=entry.candidate.popularity)
    if not citation.events:
        return (reasons.wish_popular if citation.cause == "wish" else reasons.unknown_popular).format(times=times)
    did = _did(citation.events, say)
    topics = [topic for topic in shift.to_topics if topic in entry.candidate.item.topics]
    if citation.cause == "shift" and topics:
        return (reasons.stays if shift.kind == "none" else reasons.moves).format(topic=topics[0], did=did)
    if citation.cause == "recent_popularity" and entry.candidate.popularity:  # 0 for a new item or one of the past
        return reasons.popular.format(times=times, did=did)
    if citation.cause == "novelty":
        return reasons.rare.format(times=times, did=did)
    sentences = {
        # Never "both", because it is not known whether anybody chose the item and both events.
        "others": reasons.others_one if len(citation.events) == 1 else reasons.others_two,
        "wish": reasons.fits_wish,
        "likelihood": reasons.likely,
    }
    return sentences.get(citation.cause, reasons.close).format(did=did)


def _did(events: Sequence[Interaction], say: Phrases) -> str:
    """Return `bought 'Tea' and 'Rusk' on 1 May 2020`. Neighbours with the same verb and day share both words."""
    parts, verb_before = [], ""
    for (verb, day), alike in groupby(events, lambda event: (say.events.verb(event.event), _day(event, say))):
        titles = [say.writing.title.format(title=event.title) for event in alike]
        sentence = say.reasons.did_again if verb == verb_before else say.reasons.did
        parts.append(sentence.format(verb=verb, titles=say.writing.conjunction.join(titles), day=day))
        verb_before = verb
    return say.reasons.also_did.join(parts)


def _day(event: Interaction, say: Phrases) -> str:
    return say.writing.date.format(time=datetime.fromtimestamp(event.time, tz=UTC))


def why(signals: Mapping[str, float], say: Phrases) -> str:
    """Say what speaks for an item and against it, the strongest cause first.

    Args:
        signals: The contributions that add up to the item's score, relative to the other candidates.
        say: The sentences of the language.

    Example:
        "Mostly because it is popular; also because it fits what you asked for. Against it: many people know it."
    """
    contributions = by_cause(signals)
    least = LEAST_SHARE * max(map(abs, contributions.values()), default=0.0)
    told = {cause: value for cause, value in contributions.items() if abs(value) >= least and value != 0}
    ordered = sorted(told, key=lambda cause: -abs(told[cause]))
    causes_for = [say.why.because[cause] for cause in ordered if told[cause] > 0]
    causes_against = [say.why.despite[cause] for cause in ordered if told[cause] < 0]
    sentence = say.why.mostly.format(cause=causes_for[0]) if causes_for else say.why.none_for
    if causes_for[1:]:
        sentence += say.why.also.format(causes=say.writing.listed(causes_for[1:]))
    sentences = [sentence + say.writing.full_stop]
    if causes_against:
        sentences.append(say.why.against.format(causes=say.writing.semicolon.join(causes_against)))
    return say.writing.sentence_gap.join(sentences)
