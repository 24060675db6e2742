"""Topics that are marked as sensitive, and the texts that name them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from whimbrel.tools.clean import clean_text, same_text
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item, digest_of

_JOINTS = re.compile(r"[-_/\u2010-\u2015]")
LEAST_INFLECTED = 4
"""Shorter names are covered as they are: "STI", "Sex"."""
MOST_SENSITIVE, LONGEST_NAME = 1000, 200
"""Topics that can be marked, and characters of one."""


class SensitiveTopics:
    """Names of topics, and what they cover: texts that have a name as words.

    Example:
        >>> sensitive = SensitiveTopics(["Health"])
        >>> sensitive.covers("Health & Personal Care"), sensitive.covers("Healthy snacks")
        (True, False)
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(folded for name in names if (folded := _folded(name)))
        parts = sorted(map(_pattern, self.names), key=len, reverse=True)
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __bool__(self) -> bool:
        return bool(self.names)

    def covers(self, text: str) -> bool:
        """Return whether a text has one of the names."""
        return self._pattern is not None and self._pattern.search(_folded(text)) is not None

    def covers_item(self, item: Item) -> bool:
        """Return whether an item has one of the names in its title, its topics or a field."""
        return any(map(self.covers_value, (item.title, item.topics, *item.fields.values())))

    def covers_value(self, value: object) -> bool:
        """Return whether the value of a field has one of the names: a text, or an entry of a list."""
        return any(map(self.covers, (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ()))


def _folded(text: str) -> str:
    """Return a form that is equal for texts which differ in case, accents, hyphens and joiners."""
    decomposed = unicodedata.normalize("NFKD", same_text(text.replace("’", "'")))
    plain = "".join(letter for letter in decomposed if unicodedata.category(letter) not in ("Mn", "Cf"))
    return " ".join(unicodedata.normalize("NFKC", _JOINTS.sub(" ", plain)).split())


def _pattern(name: str) -> str:
    # Chinese and Japanese have no spaces between words.
    start, end = (
        "" if ord(letter) > 0x2E7F else edge for letter, edge in ((name[0], r"(?<!\w)"), (name[-1], r"(?!\w)"))
    )
    # Forms of a word: "Depressions", "Depressionen".
    forms = r"(?:'?s|es|e?n|e)?" if name[-1].isascii() and name[-1].isalpha() and len(name) >= LEAST_INFLECTED else ""
    return f"{start}{re.escape(name)}{forms}{end}"


def names_of_topics(topics: Iterable[str]) -> list[str]:
    """Return names of topics as they can be marked.

    Raises:
        ConfigError: a name is empty or too long, or there are too many.
    """
    names = [str(clean_text(topic)) for topic in topics]
    if len(names) > MOST_SENSITIVE or not all(0 < len(name) <= LONGEST_NAME for name in names):
        raise ConfigError(
            f"at most {MOST_SENSITIVE:,} topics can be sensitive, with names of 1 to {LONGEST_NAME} characters"
        )
    return names


def marked_topics(marks: Mapping[str, Sequence[str]], user_id: str, more: Sequence[str] = ()) -> SensitiveTopics:
    """Return the topics that are sensitive for everybody, for a person, or for another reason.

    Args:
        marks: See `Catalogue.marks`.
        user_id: The person; "" for a new one.
        more: Further topics.
    """
    of_person = marks.get(digest_of(user_id), ()) if user_id and marks else ()
    return SensitiveTopics([*marks.get("", ()), *of_person, *more])
