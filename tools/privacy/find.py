"""Find personal data in a text: ways to reach a person, numbers of theirs, where they live, and names of people.

What has a form of its own is found by that. Names of people have none: they are found by frequent names, and by the
words around them (`words.toml`). If Presidio and a model of spaCy are installed, they find more names (see `presidio`).
"""

import re
from collections.abc import Callable, Iterator

from whimbrel.tools.privacy.addresses import addresses
from whimbrel.tools.privacy.chinese import chinese_addresses, chinese_names
from whimbrel.tools.privacy.credentials import credentials
from whimbrel.tools.privacy.introduced_names import owners
from whimbrel.tools.privacy.names import names
from whimbrel.tools.privacy.numbers import accounts, births, numbered, papers
from whimbrel.tools.privacy.online import emails, handles, links, networks
from whimbrel.tools.privacy.other_streets import other_streets
from whimbrel.tools.privacy.phones import phones
from whimbrel.tools.privacy.presidio import presidio_spans
from whimbrel.tools.privacy.spans import Finder, Span, Text, as_text, joined

HAN = re.compile(r"[\u3400-\u9fff]")


def personal_data(text: str, *, is_public: Callable[[str], bool] = lambda words: False) -> list[Span]:
    """Return the personal data of a text in order. No two pieces overlap.

    Args:
        text: The text.
        is_public: Returns whether a name or an address is public, such as that of a film. It is then left out.

    Example:
        >>> text = "a mug for Anna Schmidt, anna@example.org"
        >>> [(span.kind, text[span.start : span.end]) for span in personal_data(text)]
        [('PERSON', 'Anna Schmidt'), ('EMAIL', 'anna@example.org')]
    """
    searched = as_text(text)
    found = [span for finder in FINDERS for span in finder(searched)]
    if text != (alone := HAN.sub(" ", text)):
        # Chinese touches other words without a space, and then hides where these begin: "我住在Rue Royale 8".
        found += [span for finder in FINDERS for span in finder(as_text(alone))]
    found += owners(searched, found)
    return joined(
        span for span in found if span.kind not in ("PERSON", "ADDRESS") or not is_public(text[span.start : span.end])
    )


def _by_presidio(text: Text) -> Iterator[Span]:
    yield from (Span(*span) for span in presidio_spans(text.plain))


FINDERS: tuple[Finder, ...] = (
    emails,
    links,
    accounts,
    papers,
    numbered,
    credentials,
    networks,
    chinese_addresses,
    addresses,
    other_streets,
    phones,
    handles,
    births,
    chinese_names,
    names,
    _by_presidio,
)
"""Of pieces that overlap, the first finder gives the kind."""
