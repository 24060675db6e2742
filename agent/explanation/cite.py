"""The causes that rank an item high, and how much each contributes."""

from collections.abc import Mapping

CITED = 2
"""Most events that a reason cites."""
CAUSES = {
    "others": ("itemknn", "user_knn", "next_item", "co_occurrence", "embedding", "nearest_embedding"),
    "similarity": ("similarity", "nearest", "last", "words", "taught", "nearest_taught", "price", "repeat"),
    "modality": ("modality",),
    "shift": ("topics", "shift"),
    "recent_popularity": ("recent_popularity", "popularity", "age", "click_rate"),
    "novelty": ("novelty", "exposure"),
    "likelihood": ("likelihood", "order"),
    "wish": ("wish",),
}
"""What can be said about a recommended item, and the ranking's signals that support it."""


def by_cause(signals: Mapping[str, float]) -> dict[str, float]:
    """Add up the contributions of an item's signals for each cause.

    A cause is left out if the item has none of its signals. Signals that belong to no cause are ignored.

    Example:
        >>> by_cause({"topics": 0.5, "shift": 0.25, "wish": -1.0})
        {'shift': 0.75, 'wish': -1.0}
    """
    return {
        cause: sum(signals.get(name, 0.0) for name in names)
        for cause, names in CAUSES.items()
        if not signals.keys().isdisjoint(names)
    }
