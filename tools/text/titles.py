"""Titles cut to a length that a prompt can afford."""

from collections.abc import Iterable

from whimbrel.tools.records import Item

TITLE_LENGTH = 80
"""Characters of a title that a prompt or a sentence shows."""


def short_titles(items: Iterable[Item]) -> list[str]:
    """Return the titles of `items`, each cut to TITLE_LENGTH characters, in order.

    Example:
        >>> short_titles([Item(item_id="i1", title="Green tea")])
        ['Green tea']
    """
    return [item.title[:TITLE_LENGTH] for item in items]
