"""Words that tell that personal data follow, by language, and frequent names of people."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import resources

from whimbrel.tools.privacy.spans import LETTER, Text

HAN = "\u3400-\u4dbf\u4e00-\u9fff"


def listed(kind: str) -> tuple[str, ...]:
    """Return the words of one kind in all languages of `words.toml`, in lower case.

    Raises:
        KeyError: There is no such kind.
    """
    by_language: Mapping[str, Iterable[str]] = _lists()[kind]
    return tuple(dict.fromkeys(word for words in by_language.values() for word in words))


def any_of(*kinds: str) -> str:
    """Return a pattern for a word of some kinds, to be found in a text in lower case.

    A Latin word is whole. Words are apart by one or two spaces. The longest is tried first.
    """
    words = {word for kind in kinds for word in listed(kind)}
    latin = {word for word in words if not _begins_with_han(word)}
    whole = {word for word in latin if re.search(rf"[{LETTER}]$", word)}
    parts = [
        rf"(?<![{LETTER}\d]){_tree(latin - whole)}" if latin - whole else "",
        rf"(?<![{LETTER}\d]){_tree(whole)}(?![{LETTER}])" if whole else "",
        _tree(words - latin) if words - latin else "",
    ]
    return f"(?:{'|'.join(filter(None, parts))})"


def _tree(words: Iterable[str]) -> str:
    """Return a pattern for some words that reads each letter once, whatever their number."""
    branches: dict[str, list[str]] = {}
    for word in words:
        branches.setdefault(word[:1], []).append(word[1:])
    ends = branches.pop("", None) is not None
    parts = [
        (r"\s{1,2}" if first == " " else re.escape(first)) + _tree(rest) for first, rest in sorted(branches.items())
    ]
    if len(parts) == 1 and not ends:
        return parts[0]
    return f"(?:{'|'.join([*parts, *([''] if ends else [])])})" if parts else ""


def _begins_with_han(word: str) -> bool:
    return re.match(f"[{HAN}]", word) is not None


class Cues:
    """A pattern that has a word of some kinds, so that it need not be tried on a text without one.

    It is compiled when it is first tried, since that takes a while.
    """

    def __init__(self, pattern: str, *kinds: str) -> None:
        self._pattern = pattern
        words = [word for kind in kinds for word in listed(kind)]
        firsts = [re.match(rf"[{LETTER}]+", word) for word in words if not _begins_with_han(word)]
        self._firsts = frozenset(first[0] for first in firsts if first)
        self._has_han = any(map(_begins_with_han, words))
        self._has_signs = not all(firsts)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern, for a text in lower case."""
        return re.compile(self._pattern)

    def may_be_in(self, text: Text) -> bool:
        """Return whether a text has the first part of one of the words."""
        return (
            self._has_signs or (self._has_han and not text.plain.isascii()) or not self._firsts.isdisjoint(text.words)
        )

    def finditer(self, text: Text) -> Iterator[re.Match[str]]:
        """Find the pattern in a text in lower case."""
        if self.may_be_in(text):
            yield from self.pattern.finditer(text.lower)

    def is_in(self, words: str) -> bool:
        """Return whether the pattern is found in a few words in lower case, such as those before a name."""
        return self.pattern.search(words) is not None


@cache
def vocabulary() -> frozenset[str]:
    """Return the words of all lists, in lower case. One in small letters after a first name is no family name."""
    return frozenset(
        part
        for by_language in _lists().values()
        for words in by_language.values()
        for word in words
        for part in word.split()
    )


@cache
def _lists() -> Mapping[str, Mapping[str, Iterable[str]]]:
    return tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))


@cache
def first_names() -> Mapping[str, bool]:
    """Return whether a frequent first name is an everyday word too, keyed by the name in lower case."""
    return _names("first_names.txt")


@cache
def surnames() -> Mapping[str, bool]:
    """Return whether a frequent family name is an everyday word too, keyed by the name in lower case."""
    return _names("surnames.txt")


def _names(file: str) -> Mapping[str, bool]:
    text = resources.files(__package__).joinpath(file).read_text("utf-8")
    names = [name for line in text.splitlines() if not line.startswith("#") for name in line.split()]
    return {name.rstrip("*").lower(): name.endswith("*") for name in names}
