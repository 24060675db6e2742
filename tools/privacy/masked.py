"""Replace personal data by placeholders, and put it back. The placeholders mean something to this process alone."""

import re
from collections.abc import Callable
from typing import Any

from whimbrel.tools.privacy.find import personal_data

_PLACEHOLDER = re.compile(r"\b(?:EMAIL|PHONE|IBAN|CARD|ADDRESS|PERSON|NUMBER|NETWORK)_\d+\b")


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

    def mask(self, text: str) -> str:
        """Return a text with placeholders for its personal data, and for the words that earlier texts had masked."""
        parts, end = list[str](), 0
        for span in personal_data(text, is_public=self._is_public):
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
            number = sum(name.startswith(f"{kind}_") for name in self._words) + 1
            self._placeholder[words] = f"{kind}_{number}"
            self._words[self._placeholder[words]] = words
        return self._placeholder[words]
