"""Bound what an item gains from its words, since its maker writes these and could write them for one request."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.ranking.rankers import MODEL_FIGURES
from whimbrel.tools.clean import same_text
from whimbrel.tools.records import Item

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRUSTED_WORDS = 0.75
"""A good item is better than this share of those that people chose.

Of an item titled for a wish, which 20 accounts of its maker chose, 15% came first at 1, 5% at .95 and 2% at .85 (40
requests on ml-100k, `whimbrel eval self-boost`). NDCG@10 without wishes is the same.
"""
WORD_SIGNALS = (
    *("similarity", "nearest", "last", "words", "topics", "shift", "taught", "nearest_taught", "modality", "wish"),
    *MODEL_FIGURES,
)
"""What comes from the title and the topics of an item, also by way of a language model that reads them, and from its
image, which its maker could draw for one request as well."""
_WORD = re.compile(r"[^\W_]+")
LEAST_WORDS, LEAST_HELD_WORDS = 2, 4
"""Titles of fewer words are repeated, or held by another title, by chance: "Toy Story 2" holds "Toy Story"."""
COPIED_WORDS = 0.5
"""A copy says nothing of its own, so its words count as those of a middling item (`whimbrel eval stuffing`)."""


def evidence(
    contributions: Mapping[str, Floats], people: Ints, items: Sequence[Item], history: Sequence[Item]
) -> dict[str, Floats]:
    """Bound what items gain from their words, of all signals together.

    The words of an item that fewer people met than half of the candidates count as those of a good item of the other
    half (see `TRUSTED_WORDS`). Above that, they count by the item's share of people. Where half of the candidates are
    new, no log tells which words to trust. Then those of copies are bounded (see `are_copies` and `COPIED_WORDS`).

    Args:
        contributions: What each signal contributes to each score, shape (candidates,) each.
        people: How many people met each candidate, shape (candidates,).
        items: The candidates.
        history: The events of the person.

    Returns:
        The signal "evidence", shape (candidates,), which is at most 0. It is left out if no item loses.
    """
    of_words = [contributions[name] for name in WORD_SIGNALS if name in contributions]
    if not of_words:
        return {}
    usual = float(np.median(people))
    if usual:
        trust, good = np.minimum(people / usual, 1.0), TRUSTED_WORDS
    else:
        trust, good = 1.0 - are_copies(items, history), COPIED_WORDS
    if not 0 < (trust == 1).sum() < len(trust):
        return {}
    words = np.sum(of_words, axis=0)
    excess = np.maximum(words - np.quantile(words[trust == 1], good), 0.0)
    lost = excess * (1 - trust)
    return {"evidence": -lost} if lost.any() else {}


def are_copies(items: Sequence[Item], history: Sequence[Item]) -> NDArray[np.bool_]:
    """Return which titles repeat what the person knows instead of naming something, shape (items,).

    Such a title has the very words of another item in the history, holds a long title of the history, is mostly made of
    several of them, or says most of its words more than once. An item of the history itself is no copy.

    Example:
        >>> known = [Item(item_id="1", title="Toy Story"), Item(item_id="2", title="Babe the Pig")]
        >>> titles = ["Story, toy!", "Toy Story 2", "Toy Story / Babe the Pig"]
        >>> are_copies([Item(item_id=title, title=title) for title in titles], known).tolist()
        [True, False, True]
    """
    known = {item.item_id: frozenset(_words(item.title)) for item in history}
    titles = {words for words in known.values() if len(words) >= LEAST_WORDS}
    return np.array([item.item_id not in known and _is_copy(_words(item.title), titles) for item in items], dtype=bool)


def _is_copy(words: Sequence[str], titles: set[frozenset[str]]) -> bool:
    distinct = frozenset(words)
    if distinct in titles:
        return True
    if len(words) >= 2 * max(len(distinct), LEAST_WORDS):
        return True
    held = [title for title in titles if title < distinct]
    if any(len(title) >= LEAST_HELD_WORDS for title in held):
        return True
    apart = [title for title in held if not any(title < other for other in held)]
    return len(apart) > 1 and 2 * len(frozenset().union(*apart)) > len(distinct)


def _words(title: str) -> list[str]:
    return _WORD.findall(same_text(title))
