"""Find what a recommendation rests on: the cause that ranked the item high, and the events that support it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.agent.ranking.rank import Ranked
from whimbrel.tools.records import Interaction
from whimbrel.tools.text.encoder import Vectors

CITED = 2
"""Most events that a reason cites."""
CAUSES = {
    "others": ("itemknn", "user_knn", "next_item", "co_occurrence", "embedding", "nearest_embedding"),
    "similarity": ("similarity", "nearest", "last", "words", "price", "repeat"),
    "shift": ("topics", "shift"),
    "recent_popularity": ("recent_popularity", "popularity", "age", "click_rate"),
    "novelty": ("novelty",),
    "likelihood": ("likelihood", "order"),
    "wish": ("wish",),
}
"""What can be said about a recommended item, and the ranking's signals that support it."""


@dataclass(frozen=True)
class Citation:
    """Why an item was ranked high, and the person's events that support it.

    Attributes:
        cause: One of CAUSES.
        events: At most CITED events, the strongest first. Empty if the person has no history.
    """

    cause: str
    events: Sequence[Interaction]


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


def cite(entry: Ranked, latest: Mapping[str, Interaction], vectors: Mapping[str, Vectors]) -> Citation:
    """Cite the person's events that support a ranked item.

    Args:
        entry: The item with the contributions of its signals.
        latest: The person's latest event of each liked item, keyed by item id, in order of time.
        vectors: Unit text vectors of those items, keyed by item id.

    Returns:
        The strongest cause and its events. If the cause is `others`, the events whose items co-occur most with the item
        are cited. For any other cause, the events with the nearest text are cited. If there are no such events, the
        latest event is cited.
    """
    if not latest:
        return Citation("wish" if entry.signals.get("wish", 0) > 0 else "recent_popularity", [])
    contributions = by_cause(entry.signals)
    together = {item_id: cosine for item_id, cosine in entry.candidate.seed_cosines.items() if item_id in latest}
    if not any(together.values()):
        # The signals `user_knn` and the embeddings belong to "others", but need no shared event. Without a shared event
        # nothing in the history supports a reason about other people.
        contributions.pop("others", None)
    cause = max(contributions, key=lambda name: contributions[name], default="similarity")
    if cause == "others":
        strength = together
    else:
        known = [item_id for item_id in latest if item_id in vectors]
        cosines = np.stack([vectors[item_id] for item_id in known]) @ entry.candidate.vector if known else np.zeros(0)
        strength = dict(zip(known, map(float, cosines), strict=True))
    strongest = sorted((id_ for id_ in strength if strength[id_] > 0), key=lambda id_: (-strength[id_], id_))
    by_title: dict[str, Interaction] = {}
    for item_id in strongest:  # two items with the same title would read like one event that is mentioned twice
        by_title.setdefault(latest[item_id].title.casefold(), latest[item_id])
    return Citation(cause, list(by_title.values())[:CITED] or [list(latest.values())[-1]])
