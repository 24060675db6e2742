"""What a list is like, whatever is relevant: the first ten items against the history and the log."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from whimbrel.tools.records import Item

K = 10


def novelty(top: Sequence[Item], *, popularity: Mapping[str, int], interactions: int) -> float:
    """Mean self-information of the items in bits, -log2 of their share of all interactions, one added to each count
    (Zhou et al., 2010). NaN of an empty list."""
    if not top:
        return math.nan
    total = interactions + len(popularity) + 1
    return sum(-math.log2((popularity.get(item.item_id, 0) + 1) / total) for item in top) / len(top)


def popularity_bias(top: Sequence[Item], *, popularity: Mapping[str, int], history: Sequence[Item]) -> float:
    """Mean popularity of the list less that of the history, in the logarithm of counts + 1: above 0 the list is more
    popular than what the person chose (Abdollahpouri et al., 2019). NaN where either is empty."""
    if not top or not history:
        return math.nan

    def mean(items: Sequence[Item]) -> float:
        return sum(math.log(popularity.get(item.item_id, 0) + 1) for item in items) / len(items)

    return mean(top) - mean(history)


def diversity(top: Sequence[Item]) -> float:
    """Mean over pairs of 1 - Jaccard of their topics (Ziegler et al., 2005). NaN where fewer than two have any."""
    topics = [set(item.topics) for item in top if item.topics]
    pairs = [(one, other) for n, one in enumerate(topics) for other in topics[:n]]
    return sum(1 - len(a & b) / len(a | b) for a, b in pairs) / len(pairs) if pairs else math.nan


def miscalibration(top: Sequence[Item], *, history: Sequence[Item]) -> float:
    """Jensen-Shannon divergence in bits between the topics of the list and of the history, 0 where they agree
    (after Steck, 2018). NaN where either has no topics."""
    mine, listed = _shares(history), _shares(top)
    if not mine or not listed:
        return math.nan
    divergence = 0.0
    for topic in mine.keys() | listed.keys():
        p, q = mine.get(topic, 0.0), listed.get(topic, 0.0)
        for share in (p, q):
            if share:
                divergence += share * math.log2(2 * share / (p + q)) / 2
    return divergence


def _shares(items: Sequence[Item]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for item in items:
        for topic in item.topics:
            counts[topic] += 1
    total = sum(counts.values())
    return {topic: count / total for topic, count in counts.items()}


def all_of(
    top: Sequence[Item], *, history: Sequence[Item], popularity: Mapping[str, int], interactions: int
) -> dict[str, float]:
    """Every metric by its report key."""
    return {
        "novelty@10": novelty(top, popularity=popularity, interactions=interactions),
        "popularity_bias@10": popularity_bias(top, popularity=popularity, history=history),
        "diversity@10": diversity(top),
        "miscalibration@10": miscalibration(top, history=history),
    }
