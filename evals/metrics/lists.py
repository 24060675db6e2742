"""Metrics of a list's first ten items that need no relevant items, only the history and the log."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from whimbrel.tools.records import Item

K = 10


def novelty(top: Sequence[Item], *, popularity: Mapping[str, int], interactions: int) -> float:
    """Return the mean self-information of the items in bits (Zhou et al., 2010); NaN for an empty list.

    The self-information of an item is -log2 of its share of all interactions. Each count is raised by one.
    """
    if not top:
        return math.nan
    # One is added for each item of the log, and one for all items that are not in it.
    total = interactions + len(popularity) + 1
    return sum(-math.log2((popularity.get(item.item_id, 0) + 1) / total) for item in top) / len(top)


def popularity_bias(top: Sequence[Item], *, popularity: Mapping[str, int], history: Sequence[Item]) -> float:
    """Return the mean popularity of the list minus the mean popularity of the history; NaN if either is empty.

    Popularity is log(count + 1). A value above 0 means that the list is more popular than the user's history
    (Abdollahpouri et al., 2019).
    """
    if not top or not history:
        return math.nan

    def mean(items: Sequence[Item]) -> float:
        return sum(math.log(popularity.get(item.item_id, 0) + 1) for item in items) / len(items)

    return mean(top) - mean(history)


def diversity(top: Sequence[Item]) -> float:
    """Return how much the topics of the items differ (Ziegler et al., 2005).

    It is 1 - Jaccard similarity of the topics, averaged over all pairs of items. Items without topics are left out.
    NaN if fewer than two items are left.
    """
    topics = [set(item.topics) for item in top if item.topics]
    pairs = [(first, second) for n, first in enumerate(topics) for second in topics[:n]]
    return sum(1 - len(a & b) / len(a | b) for a, b in pairs) / len(pairs) if pairs else math.nan


def miscalibration(top: Sequence[Item], *, history: Sequence[Item]) -> float:
    """Return the Jensen-Shannon divergence, in bits, between the list's and the history's topics (after Steck, 2018).

    0 if the shares of topics agree, 1 if there is no common topic. NaN if either has no topics.
    """
    from scipy.spatial.distance import jensenshannon

    of_history, of_list = _topic_counts(history), _topic_counts(top)
    if not of_history or not of_list:
        return math.nan
    topics = sorted(of_history.keys() | of_list.keys())
    # scipy returns the square root of the divergence, which is NaN if rounding makes the divergence negative.
    distance = float(jensenshannon([of_history[t] for t in topics], [of_list[t] for t in topics], base=2))
    return 0.0 if math.isnan(distance) else distance**2


def _topic_counts(items: Sequence[Item]) -> Counter[str]:
    return Counter(topic for item in items for topic in item.topics)


def all_of(
    top: Sequence[Item], *, history: Sequence[Item], popularity: Mapping[str, int], interactions: int
) -> dict[str, float]:
    """Return every metric by its report key."""
    return {
        "novelty@10": novelty(top, popularity=popularity, interactions=interactions),
        "popularity_bias@10": popularity_bias(top, popularity=popularity, history=history),
        "diversity@10": diversity(top),
        "miscalibration@10": miscalibration(top, history=history),
    }
