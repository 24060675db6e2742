"""What the agent says of wishes and items, in words."""

from collections.abc import Mapping, Sequence

from whimbrel.agent.chat.lexicon import concept_named, concepts
from whimbrel.agent.chat.reading import LineReading
from whimbrel.agent.chat.state import TalkState
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.conditions import Condition
from whimbrel.tools.fields import FieldValue
from whimbrel.tools.records import Item

LONGEST_TEXT = 240
"""Characters of a description that are told."""
MOST_LISTED = 5
"""Entries of a list, such as actors, that are told."""


def condition_words(condition: Condition, say: Phrases) -> str:
    """Write a condition: `runtime at most 100`.

    A topic, and a value that says what it is, stands alone.
    """
    value, words = condition.value, say.chat.conditions
    texts = value if isinstance(value, tuple) else (value_words(value, say),)
    joined = say.writing.comma.join(texts[:-1]) + (say.chat.or_ if len(texts) > 1 else "") + texts[-1] if texts else "-"
    if condition.field == "topics" and not condition.op.startswith(("not", "!")):
        return joined
    if value is True and condition.op == "==":  # "items with credit"
        return field_words(condition.field, say)
    return words[condition.op].format(field=field_words(condition.field, say), value=joined)


def field_words(name: str, say: Phrases) -> str:
    """Write the name of a field: `content rating` for `content_rating`. In Chinese, a known concept has a name."""
    concept = concepts().get(concept_named(name))
    chinese = [word for word in concept.words if "\u4e00" <= word[0] <= "\u9fff"] if concept else []
    return chinese[0] if chinese and say.chat.language == "zh" else name.replace("_", " ")


def value_words(value: FieldValue, say: Phrases) -> str:
    """Write a value: `100` for 100.0, and the entries of a list."""
    if isinstance(value, bool):
        return say.chat.yes if value else say.chat.no
    if isinstance(value, float):
        return (
            f"{value:,.0f}"
            if value == int(value) and abs(value) >= 10_000
            else f"{value:g}"
            if abs(value) < 1e6
            else f"{value:,.0f}"
        )
    if isinstance(value, tuple):
        return say.writing.comma.join(value[:MOST_LISTED]) or "-"
    return value


def state_words(state: TalkState, say: Phrases) -> str:
    """Write what is wanted in one line."""
    wishes = [*state.wants, *(condition_words(condition, say) for condition in state.conditions)]
    refused = [*state.refused, *(say.writing.title.format(title=title) for title in state.rejected.values())]
    parts = [say.chat.looking_for.format(wishes=say.writing.semicolon.join(wishes))] if wishes else []
    parts += [say.chat.without.format(names=say.writing.comma.join(refused))] if refused else []
    return say.writing.semicolon.join(parts) if parts else say.chat.nothing_said


def changes_words(reading: LineReading, state: TalkState, say: Phrases) -> list[str]:
    """Write what a line changed, so that a misunderstanding is seen at once."""
    words: list[str] = []
    if reading.conditions or reading.wants:
        wishes = [*reading.wants, *(condition_words(condition, say) for condition in reading.conditions)]
        words.append(say.chat.wanted.format(wish=say.writing.semicolon.join(wishes)))
    if reading.refused:
        words.append(say.chat.left_out.format(names=say.writing.comma.join(state.refused)))
    if reading.allowed:
        words.append(say.chat.allowed.format(names=say.writing.comma.join(reading.allowed)))
    if reading.dropped:
        names = say.writing.comma.join(field_words(name, say) for name in reading.dropped)
        words.append(say.chat.dropped.format(names=names))
    return words


def item_words(item: Item, say: Phrases, *, also: Sequence[str], people: int) -> list[str]:
    """Write what the catalogue and the log know of an item.

    Args:
        item: The item.
        say: The sentences.
        also: Titles that people who chose it also chose.
        people: How many people chose it.
    """
    facts = [f"{field_words(name, say)}: {value_words(value, say)}" for name, value in facts_of(item).items()]
    words = [item.title + (f" ({say.writing.comma.join(item.topics)})" if item.topics else "")]
    words += [shortened(item.text)] if item.text else []
    words += [say.writing.semicolon.join(facts)] if facts else []
    if people:
        words.append(say.chat.chosen_by.format(count=f"{people:,}"))
    if also:
        words.append(say.chat.also_chosen.format(titles=say.writing.comma.join(also)))
    return words


def facts_of(item: Item) -> Mapping[str, FieldValue]:
    """Return the price and the fields of an item that have a value."""
    price = {} if item.price is None else {"price": item.price}
    return {**price, **{name: value for name, value in item.fields.items() if value != ()}}


def comparison_words(items: Sequence[Item], say: Phrases) -> list[str]:
    """Compare items point by point: a line for each fact that one of them has."""
    facts = [{"topics": item.topics, **facts_of(item)} for item in items]
    names = dict.fromkeys(name for of_item in facts for name in of_item)
    lines = [say.chat.versus.join(say.writing.title.format(title=item.title) for item in items)]
    for name in names:
        values = [value_words(of_item[name], say) if name in of_item else "-" for of_item in facts]
        label = say.chat.topics if name == "topics" else field_words(name, say)
        lines.append(f"{label}: {values[0]}" if len(set(values)) == 1 else f"{label}: {say.chat.versus.join(values)}")
    return lines


def shortened(text: str) -> str:
    """Return the beginning of a description, up to the end of a word."""
    if len(text) <= LONGEST_TEXT:
        return text
    return text[:LONGEST_TEXT].rsplit(" ", 1)[0].rstrip(",;:. ") + " ..."
