"""Unit vectors of what a person is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.records import Item, liked
from whimbrel.tools.text.encoder import Vectors, encode

HALF_LIFE = 5
"""Items after which an item counts half as much in the short-term vector."""
LATEST = 20
"""Latest distinct items that a candidate is compared with one by one."""


@dataclass(frozen=True)
class Interest:
    """What a person is about, as unit vectors of shape (384,); None where it is unknown.

    Attributes:
        short: Mean of the items met, the latest counting most.
        long: Mean of all items met, each counting the same.
        predicted: Mean of the topics that the interest is predicted to go to.
        wished: Mean of a stated wish and of the items that more are wanted like.
        latest: The LATEST distinct items, the last one first, shape (items, 384).
    """

    short: Vectors | None = None
    long: Vectors | None = None
    predicted: Vectors | None = None
    wished: Vectors | None = None
    latest: Vectors | None = None

    def channels(self) -> dict[str, Vectors]:
        """Return the vectors that retrieval searches near, by channel."""
        vectors = {name: getattr(self, name) for name in ("short", "long", "predicted", "wished")}
        return {name: vector for name, vector in vectors.items() if vector is not None}


def interest_of(
    history: Sequence[Item],
    vectors: Mapping[str, Vectors],
    *,
    predicted: Sequence[Vectors] = (),
    query: str = "",
    liked_items: Sequence[Vectors] = (),
) -> Interest:
    """Compute a person's vectors.

    Args:
        history: The events in order; what the person rated below their own mean is left out.
        vectors: Text vectors of the items met, by id; an item without one is left out.
        predicted: Vectors of the topics that the interest is predicted to go to.
        query: A stated wish, or "".
        liked_items: Vectors of items that more are wanted like.
    """
    item_ids = [item.item_id for item in liked(history) if item.item_id in vectors]
    met = [vectors[item_id] for item_id in item_ids]
    ages = np.arange(len(met))[::-1]
    wished = [*(encode([query]) if query else []), *liked_items]
    latest = list(dict.fromkeys(reversed(item_ids)))[:LATEST]
    return Interest(
        short=_mean(met, 0.5 ** (ages / HALF_LIFE)),
        long=_mean(met, np.ones(len(met))),
        predicted=_mean(predicted, np.ones(len(predicted))),
        wished=_mean(wished, np.ones(len(wished))),
        latest=np.stack([vectors[item_id] for item_id in latest]) if latest else None,
    )


def _mean(vectors: Sequence[Vectors], weights: Floats) -> Vectors | None:
    if not vectors:
        return None
    mean = np.average(np.stack(vectors), axis=0, weights=weights)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
