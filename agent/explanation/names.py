"""Names of items as a person would say them."""

import re
from functools import lru_cache

from whimbrel.tools.text.titles import TITLE_LENGTH

_ARTICLE_LAST = re.compile(r"^([^()]+), (the|an?)(?P<rest>(?:\s*\([^()]*\))*)$", re.IGNORECASE)


@lru_cache(maxsize=10_000)
def short_name(title: str) -> str:
    """Return a title with a leading article, cut to TITLE_LENGTH characters.

    Brackets and sizes stay, because they may be all that tells two items of a catalogue apart.

    Example:
        >>> short_name("Crow, The (1994)"), short_name("Tasse (blau)")
        ('The Crow (1994)', 'Tasse (blau)')
    """
    name = _ARTICLE_LAST.sub(r"\2 \1\g<rest>", title)
    return name if len(name) <= TITLE_LENGTH else f"{name[: TITLE_LENGTH - 1].rstrip()}…"
