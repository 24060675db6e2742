"""Choose a plain reason for each item of a list, and say what speaks for an item and against it."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

from whimbrel.agent.explanation.cite import by_cause
from whimbrel.agent.explanation.facts import Background, Facts, facts_of
from whimbrel.agent.explanation.sentences import Sentence, Writer, sentences_of
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.prompts.phrases import Phrases

LEAST_SHARE = 0.1
"""`why` names a cause if its contribution, for or against, is at least this share of the strongest contribution."""
LOWEST_SHARE = -0.3
"""A cause that speaks against an item counts no less than this, as a share of the strongest contribution. What is true
of the item may then still be said before the same form comes a third time."""
USED_BEFORE, MOST_TELLING = 0.6, 0.3
"""What a sentence loses, as a share of the strongest contribution, each time that the list has used its form, and what
the most telling one gains. With 0.6, a form comes twice before a cause without a contribution is
named, and no form stands in more than a fifth of the reasons (`whimbrel eval explanations`, `commonest pattern`)."""
_ALWAYS_TRUE = frozenset({"others", "similarity", "shift", "recent_popularity"})
"""Causes whose facts hold whether or not they ranked the item high. What was asked for, and what the model finds
likely, is a reason only if it did."""


def plain_reasons(ranked: Sequence[Ranked], known: Background, say: Phrases) -> tuple[list[Facts], list[Sentence]]:
    """Return the facts of each item of a list, and the reason that is chosen from them.

    The reason names a strong cause of the item's rank, and rather in a form that the list has not used yet. The same
    form never stands twice in a row, unless nothing else is true of the item.
    """
    cited, forms, chosen = Counter[str](), Counter[str](), list[Sentence]()
    facts, write = list[Facts](), Writer(known, say)
    for entry in ranked:
        facts.append(facts_of(entry, known, cited))
        before = chosen[-1].form if chosen else ""
        sentence = _choose(sentences_of(facts[-1], write), entry, forms, before)
        chosen.append(sentence)
        forms[sentence.form] += 1
        cited.update(event.item_id for event in sentence.events)
    return facts, chosen


def _choose(sentences: Sequence[Sentence], entry: Ranked, forms: Counter[str], before: str) -> Sentence:
    contributions, item_id = by_cause(entry.signals), entry.candidate.item.item_id
    strongest = max([*contributions.values(), 1e-9])
    shares = {cause: value / strongest for cause, value in contributions.items()}
    true = [
        sentence
        for sentence in sentences
        if sentence.cause in _ALWAYS_TRUE or (sentence.cause and shares.get(sentence.cause, 0.0) > 0)
    ]
    last = [sentence for sentence in sentences if not sentence.cause]

    def worth(sentence: Sentence) -> tuple[float, int]:
        share = max(shares.get(sentence.cause, 0.0), LOWEST_SHARE)
        value = share - USED_BEFORE * forms[sentence.form] + MOST_TELLING * sentence.telling
        # Forms that tell about as much take turns from item to item. A checksum is the same in every process.
        return round(value, 1), zlib.crc32(f"{sentence.form} {item_id}".encode())

    for group in (true, last):
        if other := [sentence for sentence in group if sentence.form != before]:
            return max(other, key=worth)
    return (true or last)[0]


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
    strong = {cause: value for cause, value in contributions.items() if abs(value) >= least and value != 0}
    ordered = sorted(strong, key=lambda cause: -abs(strong[cause]))
    causes_for = [say.why.because[cause] for cause in ordered if strong[cause] > 0]
    causes_against = [say.why.despite[cause] for cause in ordered if strong[cause] < 0]
    sentence = say.why.mostly.format(cause=causes_for[0]) if causes_for else say.why.none_for
    if causes_for[1:]:
        sentence += say.why.also.format(causes=say.writing.listed(causes_for[1:]))
    sentences = [sentence + say.writing.full_stop]
    if causes_against:
        sentences.append(say.why.against.format(causes=say.writing.semicolon.join(causes_against)))
    return say.writing.sentence_gap.join(sentences)
