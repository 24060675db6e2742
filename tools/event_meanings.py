"""What the event words of a log mean."""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from whimbrel.tools.errors import ConfigError

Meaning = Literal["seen", "wanted", "chosen", "rated", "turned-away"]
"""Seen: looked at. Wanted: kept for later. Chosen: bought, played, read. Turned away: rejected or given back."""
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)
STRENGTHS: Mapping[str, float] = {"seen": 0.3, "wanted": 0.6}
"""How much an event of a weak meaning counts as interest. All others count 1.

A prior that orders the meanings. It is not measured: no log at hand has views beside purchases.
"""

_WORDS: Mapping[Meaning, str] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))  # type: ignore[assignment]
_THING = re.compile(r"^(?:track|song|video|movie|film|book|article|page|post|product|item|order|offer|game|episode)_")
"""What an event word may begin with: `track_skipped` means what `skipped` means."""
_MEANING_OF: Mapping[str, Meaning] = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}


def meaning_of(event: str, own: Mapping[str, Meaning] | None = None) -> Meaning | None:
    """Return what an event word means; None if it is unknown.

    Args:
        event: The word of the log.
        own: Meanings that the store has for words of its own (see `parse_events`). They come first.

    Example:
        >>> meaning_of("Remove from Cart"), meaning_of("purchase"), meaning_of("3")
        ('turned-away', 'chosen', None)
    """
    word = event.casefold()
    if own and word in own:
        return own[word]
    return _shared_meaning_of(word)


@lru_cache(maxsize=10_000)
def _shared_meaning_of(word: str) -> Meaning | None:
    """Return what a word in lower case means in every store."""
    joined = re.sub(r"[\s.-]+", "_", word.strip())
    return _MEANING_OF.get(word) or _MEANING_OF.get(joined) or _MEANING_OF.get(_THING.sub("", joined))


def parse_events(pairs: list[str]) -> dict[str, Meaning]:
    """Parse texts of the form `WORD=MEANING`.

    Raises:
        ConfigError: A text has no `=`, or an unknown meaning.

    Example:
        >>> parse_events(["3=turned-away"])
        {'3': 'turned-away'}
    """
    meanings: dict[str, Meaning] = {}
    for pair in pairs:
        word, equals, meaning = pair.rpartition("=")
        meaning = meaning.strip().replace("_", "-").replace(" ", "-")
        if not equals or not word.strip() or meaning not in MEANINGS:
            raise ConfigError(f"--events {pair!r}: give WORD=MEANING, with one of {', '.join(MEANINGS)}")
        meanings[word.strip().casefold()] = meaning
    return meanings
