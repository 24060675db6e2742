"""Items that a user refuses, by words in titles and topics or by topics of nearly the same meaning."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import TextEncoder, Vectors

REFUSED_SIMILARITY = 0.5  # a topic with at least this cosine means nearly the same as a refused word


@dataclass(frozen=True)
class Refusal:
    """What must not occur in an item.

    Attributes:
        patterns: Patterns that must not occur in the title, the topics or the fields.
        topics: Names of refused topics.
        unnamed: The patterns that match no topic's name. They must not occur in the description either.
    """

    patterns: tuple[re.Pattern[str], ...]
    topics: Collection[str]
    unnamed: tuple[re.Pattern[str], ...] = ()

    @classmethod
    def of(cls, avoid: Sequence[str], topic_vectors: Mapping[str, Vectors], encoder: TextEncoder) -> "Refusal":
        """Build a refusal from the words that a user avoids.

        Args:
            avoid: The words, as the user gave them. `snacks` also refuses `snack`.
            topic_vectors: The vectors of topics, keyed by name. A word may occur in no topic's name (`alcohol`). Topics
                of nearly the same meaning are then refused (`Beers`, `Wines`).
            encoder: The encoder of these vectors.
        """
        words = [word for word in avoid if word.strip()]
        patterns = tuple(_pattern(word) for word in words)
        names = list(topic_vectors)
        unnamed = [word for word, pattern in zip(words, patterns, strict=True) if not any(map(pattern.search, names))]
        of_unnamed = tuple(_pattern(word) for word in unnamed)
        if not unnamed or not names:
            return cls(patterns, frozenset(), of_unnamed)
        similarity = np.stack([topic_vectors[name] for name in names]) @ encoder.encode(unnamed).T
        near = similarity.max(axis=1) >= REFUSED_SIMILARITY
        topics = frozenset(name for name, refused in zip(names, near, strict=True) if refused)
        return cls(patterns, topics, of_unnamed)

    def covers_topic(self, name: str) -> bool:
        """Return whether a topic with this name is refused."""
        return name in self.topics or any(pattern.search(name) for pattern in self.patterns)

    def covers(self, item: Item) -> bool:
        """Return whether this item is refused."""
        if not self.patterns and not self.topics:
            return False
        values = [part for value in item.fields.values() for part in (value if isinstance(value, tuple) else (value,))]
        text = " ".join([item.title, *item.topics, *(value for value in values if isinstance(value, str))])
        if any(topic in self.topics for topic in item.topics) or any(p.search(text) for p in self.patterns):
            return True
        return any(pattern.search(item.text) for pattern in self.unnamed)


def _pattern(word: str) -> re.Pattern[str]:
    """Return a pattern that matches a whole word in singular and plural: `snacks` also matches `snack`."""
    word = word.strip().casefold()
    if any(c > "\u2e7f" for c in word):  # scripts without spaces, such as Chinese: match anywhere
        return re.compile(re.escape(word), re.IGNORECASE)
    # English plural endings: `berries` and `berry`, `toys` and `toy`, `snacks` and `snack`.
    stem, ending = word, r"(?:e?s)?"
    if len(word) > 4 and word.endswith("ies"):
        stem, ending = word[:-3], r"(?:y|ies)"
    elif len(word) > 3 and word.endswith("y"):
        stem, ending = word[:-1], r"(?:y|ies|ys)"
    elif len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        stem, ending = word[:-1], r"s?"
    return re.compile(rf"(?<!\w){re.escape(stem)}{ending}(?!\w)", re.IGNORECASE)
