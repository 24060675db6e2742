"""Names of people. A name has no form of its own: the words around it introduce it, or many people have it."""

from collections.abc import Iterator

from whimbrel.tools.privacy.frequent_names import addressed, doing, in_full
from whimbrel.tools.privacy.introduced_names import celebrated, entitled, introduced, related, signed
from whimbrel.tools.privacy.known_people import acquainted
from whimbrel.tools.privacy.public import is_public_mention
from whimbrel.tools.privacy.spans import Span, Text

MOST_LOOKS = 1000
"""Frequent names of a text whose surroundings are read. In a text of still more, the rest are taken for private."""


def names(text: Text) -> Iterator[Span]:
    """Find names of people. Those of authors, actors and brands, and those in titles, stay where that is told."""
    for finder in (introduced, related, acquainted, entitled, celebrated, signed):
        yield from finder(text)
    frequent = (span for finder in (addressed, in_full, doing) for span in finder(text))
    for place, span in enumerate(frequent):
        if place >= MOST_LOOKS or not is_public_mention(text, span):
            yield span
