"""Clean texts that come from files, people and models."""

import unicodedata


def clean_text(value: object) -> object:
    r"""Return a text as one line, without control, format and surrogate characters.

    A value of another type is returned unchanged. Validation then rejects it.

    Example:
        >>> clean_text(" Rye\n bread\u200b ")
        'Rye bread'
    """
    if not isinstance(value, str):
        return value
    if value.isprintable():
        return " ".join(value.split())
    # Control characters and line ends (Unicode categories Cc, Zl, Zp) become spaces. Format, surrogate, private and
    # unassigned characters are dropped.
    spaced = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in value)
    return " ".join("".join(c for c in spaced if unicodedata.category(c) not in {"Cf", "Cs", "Co", "Cn"}).split())
