"""Tell whether an item shows that it is what was asked for: by its words, or by the conditions that it met.

A wish is also matched by the meaning of texts. That puts an item near to the wish, and shows no more.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whimbrel.agent.explanation.likeness import distinctive_words, shared_topics, shared_words
from whimbrel.tools.conditions import Condition
from whimbrel.tools.records import Item

LEAST_WORDS, LEAST_PAIRS = 0.5, 0.34
"""Least share of a wish's words, and of its pairs of Chinese characters, that an item's own words must have."""
_PARTS = re.compile(r"[,;.\u3001\uff0c\uff1b\u3002]")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_ASKING = frozenset(
    """something anything some any want wants wanted need needs looking look find please would like good nice gift cheap
    etwas irgendwas bitte suche brauche möchte gut schön""".split()  # noqa: SIM905
)
"""Words of a wish that say nothing of the item."""
_GRAMMAR = frozenset("的了是在有和与也都就吗呢吧啊个一我你他她它这那想要买看给点些适合用得很更")
"""Chinese characters of which a pair says nothing of the item."""


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        query: The wish in words.
        conditions: Conditions that every listed item fulfils.
        like: The items that similar ones are wanted of.
    """

    query: str = ""
    conditions: Sequence[Condition] = ()
    like: Sequence[Item] = ()

    def shown_by(self, item: Item) -> bool:
        """Return whether every part of the wish is met by a condition, or stands in the item's own words.

        Example:
            >>> Asked("green tea").shown_by(Item(title="Sencha", topics="Green tea"))
            True
            >>> Asked("asdf").shown_by(Item(title="Sencha", topics="Green tea"))
            False
        """
        met = {text.casefold() for condition in self.conditions for text in _texts(condition)}
        parts = [part.strip() for part in _PARTS.split(self.query) if part.strip()]
        left = [part for part in parts if part.casefold() not in met]
        if left:
            own = _words([item.title, item.text, *item.topics, *_field_texts(item)])
            return all(_stands_in(part, own) for part in left)
        if parts or not self.like:
            return bool(parts)
        return any(shared_topics(item, other) or shared_words(item.title, other.title) for other in self.like)


def _texts(condition: Condition) -> tuple[str, ...]:
    value = condition.value
    if condition.op.startswith(("not", "!")):
        return ()
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()


def _field_texts(item: Item) -> Iterable[str]:
    for value in item.fields.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, tuple):
            yield from value


def _words(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(_plain(word) for text in texts for word in distinctive_words(text))


def _stands_in(part: str, own: frozenset[str]) -> bool:
    words = {word for word in _words([part]) if word not in _ASKING and _GRAMMAR.isdisjoint(word)}
    if not words:
        only = part.strip()  # one Chinese character is a word of its own: 茶
        return len(only) == 1 and bool(_HAN.match(only)) and any(only in word for word in own)
    least = LEAST_PAIRS if any(_HAN.match(word) for word in words) else LEAST_WORDS
    return len(words & own) >= least * len(words)


def _plain(word: str) -> str:
    """Return a word in the singular, without the mark of a genitive."""
    word = re.sub(r"['\u2019]s?$", "", word)
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
