"""Unit vectors of a user's interest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.records import Item, liked, strength
from whimbrel.tools.text.encoder import Vectors

HALF_LIFE = 5
"""The weight of an item in the short-term vector halves with every this many later items."""
LATEST = 20
"""A candidate is compared one by one with this many of the user's latest distinct items."""


@dataclass(frozen=True)
class Interest:
    """A user's interest as unit vectors of shape (384,). A vector is None if it is unknown.

    Attributes:
        short: Mean of the user's items. A later item has a higher weight, and an item that was only seen a lower one.
        long: Mean of the user's items. An item that was only seen has a lower weight.
        predicted: Mean of the topics that are predicted as the next interest.
        wished: Mean of a stated wish and of the items that the user wants more of.
        phrases: Search phrases for what the user may want next, shape (phrases, 384).
        latest: The LATEST distinct items, the most recent first, shape (items, 384).
    """

    short: Vectors | None = None
    long: Vectors | None = None
    predicted: Vectors | None = None
    wished: Vectors | None = None
    phrases: Vectors | None = None
    latest: Vectors | None = None

    def channels(self) -> dict[str, Vectors]:
        """Return the vectors whose nearest items are retrieved, keyed by channel."""
        vectors = {name: getattr(self, name) for name in ("short", "long", "predicted", "wished")}
        return {name: vector for name, vector in vectors.items() if vector is not None}


def interest_of(
    history: Sequence[Item],
    vectors: Mapping[str, Vectors],
    *,
    predicted: Sequence[Vectors] = (),
    wished: Sequence[Vectors] = (),
) -> Interest:
    """Compute a user's vectors of interest.

    Args:
        history: The user's events in order of time. Items that the user disliked are left out (see `liked`).
        vectors: Text vectors of the history's items, keyed by id. An item without a vector is left out.
        predicted: Vectors of the topics that are predicted as the next interest.
        wished: Vectors of a stated wish and of items that the user wants more of.
    """
    events = [item for item in liked(history) if item.item_id in vectors]
    item_ids = [item.item_id for item in events]
    met = [vectors[item_id] for item_id in item_ids]
    strengths = np.array([strength(item) for item in events])
    ages = np.arange(len(met))[::-1]
    latest = list(dict.fromkeys(reversed(item_ids)))[:LATEST]
    return Interest(
        short=_mean(met, strengths * 0.5 ** (ages / HALF_LIFE)),
        long=_mean(met, strengths),
        predicted=_mean(predicted, np.ones(len(predicted))),
        wished=_mean(wished, np.ones(len(wished))),
        latest=np.stack([vectors[item_id] for item_id in latest]) if latest else None,
    )


def latest_liked(history: Sequence[Item]) -> list[str]:
    """Return the ids of the LATEST distinct items that were not disliked, the most recent first."""
    return list(dict.fromkeys(item.item_id for item in reversed(liked(history))))[:LATEST]


def _mean(vectors: Sequence[Vectors], weights: Floats) -> Vectors | None:
    if not vectors:
        return None
    mean = np.average(np.stack(vectors), axis=0, weights=weights)
    # Opposite vectors may have the mean 0, so the length is never taken as less than 1e-12.
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
