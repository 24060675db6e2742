"""Titles cut to a length that suits a prompt."""

from collections.abc import Iterable

from whimbrel.tools.records import Item

TITLE_LENGTH = 80
"""How many characters of a title a prompt or a sentence shows."""


def short_titles(items: Iterable[Item]) -> list[str]:
    """Return the titles of `items` in order, each cut to TITLE_LENGTH characters.

    Example:
        >>> short_titles([Item(item_id="i1", title="Green tea")])
        ['Green tea']
    """
    return [item.title[:TITLE_LENGTH] for item in items]
