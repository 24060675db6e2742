"""Names of items as a person would say them."""

import re

from whimbrel.tools.text.titles import TITLE_LENGTH

_BRACKETS_OR_SIZE = re.compile(r"\s*\([^)]*\)|（[^）]*）|【[^】]*】|,\s*[\d./]+\s*\w*$|,\s*[\d./]+\s*\w*(?=\s*\()")
_ARTICLE_LAST = re.compile(r"^(.+), (the|an?)$", re.IGNORECASE)


def short_name(title: str) -> str:
    """Return a title without brackets and size, with a leading article, and cut to TITLE_LENGTH characters.

    Example:
        >>> short_name("Crow, The (1994)"), short_name("Granola bars, 12 oz")
        ('The Crow', 'Granola bars')
    """
    name = _ARTICLE_LAST.sub(r"\2 \1", _BRACKETS_OR_SIZE.sub("", title).strip())
    return (name or title)[:TITLE_LENGTH]
