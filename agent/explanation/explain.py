"""Explain a list: collect the facts of each item, and write a reason that they support.

Every item gets a plain sentence, which cites events of the person and states facts that were counted in the log. For
the first items, a language model words a livelier reason. A model that can only fill places is given one fact and a
closed vocabulary. A capable model is given all facts and writes freely, and each of its claims is checked against the
facts. Whatever fails the check is dropped, and an item without a claim keeps its plain sentence.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whimbrel.agent.explanation.closed import word_closed
from whimbrel.agent.explanation.facts import Background
from whimbrel.agent.explanation.free import word_freely
from whimbrel.agent.explanation.plain import plain_reasons
from whimbrel.agent.explanation.sentences import Sentence
from whimbrel.agent.explanation.worded import Worded
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import CitedEvent, Recommendation, model_note
from whimbrel.prompts.phrases import Language, load_phrases

MOST_PROBLEMS = 2
"""Most causes that a warning about a model's reasons names, the commonest first."""


@dataclass(frozen=True)
class Explained:
    """Recommendations with their reasons.

    Attributes:
        recommendations: The list, the best first.
        usage: What the calls of the model cost.
        warnings: Notes about replaced reasons.
        asked: How many sentences the model wrote or failed to write.
        problems: For each sentence of the model that was dropped, why it was.
    """

    recommendations: tuple[Recommendation, ...]
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    asked: int = 0
    problems: tuple[str, ...] = ()


def explain(
    ranked: Sequence[Ranked],
    known: Background,
    *,
    llm: LanguageModel | None,
    worded: int,
    language: Language = "en",
    writes_freely: bool = False,
    reading_words: str = "",
) -> Explained:
    """Explain ranked items.

    Args:
        ranked: The items of the list, the best first.
        known: What reasons may rest on: the person's events, the log of all people, the shift and the moment.
        llm: The language model, or None if all reasons are to be plain.
        worded: How many reasons, from the first item on, the model words.
        language: The language of the sentences.
        writes_freely: Whether the model is capable enough to write freely, in one call for the whole list.
        reading_words: What is said of the person, such as the summary. Only a model that writes freely sees it.

    Raises:
        ModelError: The model cannot be reached.
    """
    facts, plain = plain_reasons(ranked, known, load_phrases(language, known.zone))
    reasons, words = list(plain), Worded({}, NO_USAGE, asked=0)
    first = ranked[:worded]
    if llm is not None and first and known.liked:
        if writes_freely:
            words = word_freely(facts[:worded], first, known, reading_words, llm=llm, language=language)
        else:
            items = [entry.candidate.item for entry in first]
            words = word_closed(items, plain[:worded], llm=llm, language=language)
    for position, sentence in words.sentences.items():
        # What a model says of other people or of an interest may cite no event. The plain reason's events support it.
        reasons[position] = sentence if sentence.events else replace(sentence, events=plain[position].events)
    warnings: tuple[str, ...] = ()
    if words.problems:
        why = "; ".join(problem for problem, _ in Counter(words.problems).most_common(MOST_PROBLEMS))
        count = f"{len(words.problems)} of {words.asked}"
        warnings = (model_note(f"reasons: {count} left out or replaced by plain reasons ({why})"),)
    return Explained(_recommendations(ranked, reasons), words.usage, warnings, words.asked, words.problems)


def _recommendations(ranked: Sequence[Ranked], reasons: Sequence[Sentence]) -> tuple[Recommendation, ...]:
    return tuple(
        Recommendation(
            rank=rank,
            item_id=entry.candidate.item.item_id,
            title=entry.candidate.item.title,
            score=entry.score,
            explanation=reason.words,
            evidence=tuple(CitedEvent.of(event) for event in reason.events),
            signals=entry.signals,
        )
        for rank, (entry, reason) in enumerate(zip(ranked, reasons, strict=True), start=1)
    )
