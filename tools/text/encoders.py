"""The text encoders, and which one a catalogue needs.

The English encoder is small and fast. It has no pieces for most letters of other scripts, so texts in them all get
nearly the same vector. The multilingual encoder reads every language, and is slower.
"""

import unicodedata
from collections.abc import Iterable
from itertools import islice

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import TextEncoder, encoder_text
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.text.multilingual import MULTILINGUAL

ENCODERS: tuple[TextEncoder, ...] = (ENGLISH, MULTILINGUAL)
READ_TEXTS = 2000
"""Most texts that are read to tell in which script a catalogue is written."""
LEAST_SHARE = 0.1
"""A catalogue needs the multilingual encoder from this share of letters on that the English encoder cannot read.

Titles of shops mix scripts: a Chinese phone is called "华为 Mate 60". Of English catalogues, the apps of Frappe
have the largest share of such letters, 1.4%.
"""


def encoder_named(name: str) -> TextEncoder:
    """Return the encoder of this name or title.

    Example:
        >>> encoder_named("english").name
        'all-MiniLM-L6-v2-int8'

    Raises:
        ConfigError: there is no such encoder.
    """
    for encoder in ENCODERS:
        if name in (encoder.name, encoder.title):
            return encoder
    titles = " or ".join(encoder.title for encoder in ENCODERS)
    raise ConfigError(f"no text encoder {name!r}: choose {titles}")


def encoder_for(items: Iterable[Item]) -> TextEncoder:
    """Return the encoder that reads the language of these items.

    Example:
        >>> encoder_for([Item(title="绿茶"), Item(title="红茶")]).title
        'multilingual'
    """
    is_unread = unread_share(map(encoder_text, islice(items, READ_TEXTS))) > LEAST_SHARE
    return MULTILINGUAL if is_unread else ENGLISH


def unread_share(texts: Iterable[str]) -> float:
    """Return the share of letters of texts that the English encoder cannot read, since they are not Latin."""
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return sum(not _is_latin(letter) for letter in letters) / max(len(letters), 1)


def _is_latin(letter: str) -> bool:
    return letter < "\u0250" or unicodedata.name(letter, "").startswith("LATIN")
