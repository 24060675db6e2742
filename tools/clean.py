"""Clean texts that come from files, people and models."""

import re
import unicodedata

_JOINERS = frozenset("\u200c\u200d")
"""ZWNJ and ZWJ. Persian and Devanagari are spelled with them, and they join the parts of an emoji."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)
"""Escape sequences, which tell a terminal to change its colours, its title or its clipboard."""
_NONCHARACTERS = re.compile(r"[\ufdd0-\ufdef]|[\ufffe\uffff\U0001fffe\U0001ffff]")
_TAGS = range(0xE0020, 0xE0080)
_FLAGS = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)|[\U000e0020-\U000e007f]")
"""Tag characters. They spell the region of a flag such as Scotland's; elsewhere they are a text that nobody sees."""
_SELECTORS = re.compile("[\ufe00-\ufe0d\U000e0100-\U000e01ef]|[\ufe0e\ufe0f](?=[\ufe0e\ufe0f])")
"""Variation selectors. One chooses between a sign and an emoji; a series of them can hold a text that nobody sees."""


def clean_text(value: object) -> object:
    r"""Return a text as one line in NFC, without escape sequences, control, format and surrogate characters.

    Joiners between two characters stay. A value of another type is returned unchanged. Validation then rejects it.

    Example:
        >>> clean_text(" Rye\n bread\u200b ")
        'Rye bread'
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isprintable():
        return " ".join(value.split())
    # Control characters and line ends (Unicode categories Cc, Zl, Zp) become spaces. Format, surrogate and private
    # characters are dropped. Unassigned ones stay: an emoji may be newer than the Unicode of this Python.
    spaced = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in _ESCAPES.sub("", value))
    one_line = " ".join(without_invisible(spaced).split())
    return one_line.strip(" \u200c\u200d")


def without_invisible(text: str) -> str:
    """Return a text in NFC, without characters that no reader sees: format, surrogate and private ones, noncharacters.

    Marks of direction are among them: they let a text look like another one.
    """
    kept = "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cs", "Co"} or _joins(c))
    return _NONCHARACTERS.sub("", unicodedata.normalize("NFC", _FLAGS.sub(lambda match: match[1] or "", kept)))


def clean_lines(text: str) -> str:
    r"""Return a text of several lines in NFC, without what a person does not see and a language model reads.

    Example:
        >>> clean_lines("Rye\u200b bread\r\n\x1b[31mfresh\U000e0041")
        'Rye bread\nfresh'
    """
    lines = _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    spaced = "".join(" " if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in lines)
    return _SELECTORS.sub("", without_invisible(spaced))


def same_text(text: str) -> str:
    """Return a form that is equal for texts which differ only in case, spaces or Unicode form.

    Example:
        >>> same_text(" KITCHEN  tools") == same_text("Kitchen Tools")
        True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _joins(character: str) -> bool:
    return character in _JOINERS or ord(character) in _TAGS
