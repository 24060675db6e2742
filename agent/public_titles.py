"""Which names are public: those in titles that several people met, such as names of films."""

import re
from functools import cached_property

import numpy as np

from whimbrel.tools.retrieval.catalogue import Catalogue

LEAST_PEOPLE = 3
"""A title that fewer people met may tell who they are."""
PAGE = 10_000
"""Items that are read at a time."""


class PublicTitles:
    """The titles of a catalogue that several people met. They are read when the first name is asked about."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, words: str) -> bool:
        """Return whether some words stand in such a title."""
        return f" {_plain(words)} " in self._titles

    @cached_property
    def _titles(self) -> str:
        log, least = self._catalogue.log, max(LEAST_PEOPLE, self._catalogue.min_people)
        rows = np.flatnonzero(log.users_per_item(before=np.inf) >= least).tolist()
        ids = [log.item_ids[row] for row in rows]
        pages = (self._catalogue.items(ids[start : start + PAGE]) for start in range(0, len(ids), PAGE))
        return "\n".join(f" {_plain(item.title)} " for page in pages for item in page.values())


def _plain(text: str) -> str:
    """Return the words of a text in lower case, without the characters between them."""
    return " ".join(re.findall(r"\w+", text.casefold()))
