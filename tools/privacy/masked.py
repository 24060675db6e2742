"""Replace personal data by placeholders, and put it back. The placeholders mean something to this process alone."""

import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from whimbrel.tools.privacy.find import personal_data
from whimbrel.tools.privacy.spans import KINDS, Span

# Boundaries are those of ASCII words, since Chinese text follows a placeholder without a space.
_PLACEHOLDER = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(KINDS)})_\d+(?![A-Za-z0-9_])")
LONGEST_WORD = 100  # characters before a span that are looked at
_WORD_BEFORE, _WORD_AFTER = re.compile(r"[A-Za-z0-9_]*$"), re.compile(r"[A-Za-z0-9_]*")


class Placeholders:
    """The placeholders of one conversation. The same words always get the same placeholder.

    Example:
        >>> places = Placeholders()
        >>> places.mask("a mug for Anna Schmidt")
        'a mug for PERSON_1'
        >>> places.restore({"reply": "A mug that PERSON_1 will like"})
        {'reply': 'A mug that Anna Schmidt will like'}
    """

    def __init__(self, is_public: Callable[[str], bool] = lambda words: False) -> None:
        """Begin a conversation. Names and addresses that are public are left as they are (see `personal_data`)."""
        self._is_public = is_public
        self._words: dict[str, str] = {}
        self._placeholder: dict[str, str] = {}
        self._written: set[str] = set()
        """What looks like a placeholder in the texts themselves. It stands for nothing."""

    def mask(self, text: str) -> str:
        """Return a text with placeholders for its personal data, and for the words that earlier texts had masked."""
        self._written.update(_PLACEHOLDER.findall(text))
        parts, end = list[str](), 0
        for span in _whole_words(text, personal_data(text, is_public=self._is_public)):
            parts += [text[end : span.start], self._placeholder_of(text[span.start : span.end], span.kind)]
            end = span.end
        masked = "".join([*parts, text[end:]])
        # A name may be recognised only where something introduces it, and stand elsewhere without that.
        for words in sorted(self._placeholder, key=len, reverse=True):
            if words in masked:
                masked = re.sub(rf"(?<!\w){re.escape(words)}(?!\w)", self._placeholder[words], masked)
        return masked

    def restore(self, value: Any) -> Any:
        """Return a document in which every placeholder is replaced by the words that it stands for."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda match: self._words.get(match[0], match[0]), value)
        if isinstance(value, dict):
            return {key: self.restore(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.restore(inner) for inner in value]
        return value

    def __bool__(self) -> bool:
        """Return whether anything was masked."""
        return bool(self._words)

    def _placeholder_of(self, words: str, kind: str) -> str:
        if words not in self._placeholder:
            taken = self._written | self._words.keys()
            name = next(f"{kind}_{number}" for number in count(1) if f"{kind}_{number}" not in taken)
            self._placeholder[words], self._words[name] = name, words
        return self._placeholder[words]


def _whole_words(text: str, spans: Sequence[Span]) -> list[Span]:
    """Extend spans to whole words, and join those that touch. A placeholder could not be told from what touches it."""
    whole: list[Span] = []
    for span in spans:
        before = _WORD_BEFORE.search(text, max(span.start - LONGEST_WORD, 0), span.start)
        after = _WORD_AFTER.match(text, span.end)
        start, end = before.start() if before else span.start, after.end() if after else span.end
        if whole and start <= whole[-1].end:
            whole[-1] = Span(whole[-1].start, max(end, whole[-1].end), whole[-1].kind)
        else:
            whole.append(Span(start, end, span.kind))
    return whole
