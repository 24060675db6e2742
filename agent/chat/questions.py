"""Which question to ask: the one whose answer rules out the most items."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from whimbrel.agent.chat.lexicon import concepts
from whimbrel.agent.chat.reading import Question
from whimbrel.agent.chat.state import TalkState
from whimbrel.agent.chat.vocabulary import FieldInfo, Vocabulary
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.log.interaction_log import Ints

MOST_VALUES = 40
"""A field with more values is not asked about: nobody knows them."""
MOST_SHOWN = 6
"""Values that a question names."""
LEAST_DISTINCT = 4
"""A number with fewer distinct values is not asked about."""
LEAST_SHARE = 0.2
"""A question must rule out at least this share of the items."""


def narrowing_question(
    vocabulary: Vocabulary,
    rows: Ints,
    state: TalkState,
    asked: Sequence[str],
    say: Phrases,
    *,
    names: Mapping[str, Collection[str]],
) -> Question | None:
    """Return the question that narrows a choice the most, or None if none does.

    Only fields that people commonly ask about are asked for (see `concepts.toml`), and each at most once.

    Args:
        vocabulary: The fields of the catalogue.
        rows: The rows of the items that fit so far, in the catalogue's table.
        state: What is wanted. A field that is limited or does not matter is not asked about.
        asked: Fields that were asked about before.
        say: The sentences.
        names: The only values that a question may name, keyed by field, such as the services that the person has.
    """
    limited = {condition.field for condition in state.conditions} | state.answered | set(asked)
    if state.wants and not state.topics:
        limited.add("topics")  # the wish says what it is about
    shares = {
        info.name: _ruled_out(info, vocabulary, rows)
        for info in vocabulary.fields.values()
        if info.name not in limited and info.concept
    }
    best = max(shares, key=lambda name: shares[name], default="")
    if not best or shares[best] < LEAST_SHARE:
        return None
    return Question(
        kind="narrow", field=best, text=_words(vocabulary.fields[best], vocabulary, rows, say, names.get(best, ()))
    )


def _ruled_out(info: FieldInfo, vocabulary: Vocabulary, rows: Ints) -> float:
    """Return the share of the items that a typical answer rules out."""
    column = vocabulary.table.columns[info.name]
    values = [column[row] for row in rows.tolist()]
    known = [value for value in values if value not in (None, ())]
    if not known:
        return 0.0
    coverage = len(known) / len(values)
    if info.kind in {"number", "date"}:
        # A typical bound lies in the middle of the values.
        return (
            coverage / 2
            if len({str(value)[:4] if info.kind == "date" else value for value in known}) >= LEAST_DISTINCT
            else 0.0
        )
    if info.kind == "flag" or len(info.counts) > MOST_VALUES or info.concept in {"maker", "cast"}:
        return 0.0
    counts = Counter(text for value in known for text in (value if isinstance(value, tuple) else (value,)))
    # Somebody who wants one value rules out the items without it. Frequent values are wanted more often.
    total = sum(counts.values())
    return sum(count / total * (1 - count / len(known)) for count in counts.values()) * coverage


def _words(info: FieldInfo, vocabulary: Vocabulary, rows: Ints, say: Phrases, names: Collection[str]) -> str:
    concept = concepts()[info.concept]
    column = vocabulary.table.columns[info.name]
    counts = Counter(
        text
        for row in rows.tolist()
        for text in (column[row] if isinstance(column[row], tuple) else (column[row],))
        if isinstance(text, str) and (not names or text in names)
    )
    shown = [name for name, _ in counts.most_common(MOST_SHOWN)]
    values = say.writing.comma.join(shown[:-1]) + (say.chat.or_ + shown[-1] if len(shown) > 1 else "".join(shown))
    return concept.question[say.chat.language].format(values=values, field=info.name.replace("_", " "))
