"""Topics for items that have none: clusters of their text vectors, named by characteristic words of the titles."""

import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.records import Item
from whimbrel.tools.text.encoder import Vectors

LEAST_CLUSTERED_ITEMS = 20
"""If fewer items than this have no topics, they are not clustered."""
MOST_CLUSTERS = 64
KMEANS_ITERATIONS = 20
WORDS_OF_NAME, LONGEST_NAME = 2, 60
"""The number of words in a cluster's name, and the most characters of the name."""
_WORD = re.compile(r"(?:(?![\u3040-\u30ff\u4e00-\u9fff])[^\W\d_]){3,}|(?=([\u3040-\u30ff\u4e00-\u9fff]{2}))")
"""A word of three or more letters. Chinese and Japanese have no spaces between words, so any two neighbouring
characters count as a word."""
_STOP_WORD = re.compile(r"and|are|for|from|has|her|his|its|not|that|the|their|this|was|with|you|your")


def cluster_topics(items: Sequence[Item], vectors: Vectors) -> dict[str, str]:
    """Cluster items by their texts.

    The clusters are found by k-means (Lloyd, 1982) with a fixed seed. Their number is about the square root of half the
    number of items. It is at least 2, at most MOST_CLUSTERS, and at most the number of distinct vectors.

    Args:
        items: The items.
        vectors: Their unit text vectors, shape (items, dimension).

    Returns:
        The name of each item's cluster, keyed by the item's id. It is empty for fewer than LEAST_CLUSTERED_ITEMS items.
    """
    if len(items) < LEAST_CLUSTERED_ITEMS:
        return {}
    from scipy.cluster.vq import kmeans2

    # Items of equal text count as one point, so there are never more clusters than points.
    distinct, row = np.unique(vectors.astype(np.float64), axis=0, return_inverse=True)
    count = min(max(round((len(items) / 2) ** 0.5), 2), MOST_CLUSTERS, len(distinct))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about empty clusters: their names are never used
        _, cluster_of_distinct = kmeans2(distinct, count, iter=KMEANS_ITERATIONS, minit="++", seed=0)
    clusters = cluster_of_distinct[row.ravel()]
    titles: list[list[str]] = [[] for _ in range(count)]
    for item, cluster in zip(items, clusters, strict=True):
        titles[cluster].append(item.title)
    names = _names(titles)
    return {item.item_id: names[cluster] for item, cluster in zip(items, clusters, strict=True)}


def with_cluster_topics(items: Sequence[Item], clusters: Mapping[str, str]) -> list[Item]:
    """Return the items. An item that has a cluster and no topics gets the cluster's name as its topic.

    Args:
        items: The items.
        clusters: The name of each item's cluster, keyed by the item's id.
    """
    return [
        item.model_copy(update={"topics": (clusters[item.item_id],)})
        if not item.topics and item.item_id in clusters
        else item
        for item in items
    ]


def write_clusters(path: Path, clusters: Mapping[str, str]) -> None:
    """Write clusters to a file, even if there are none. If the file is absent, the items are clustered again."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(clusters, ensure_ascii=False), "utf-8")


def read_clusters(path: Path) -> dict[str, str] | None:
    """Read the clusters that `write_clusters` wrote. Return None if the file is absent or damaged."""
    try:
        clusters = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(clusters, dict) or not all(isinstance(name, str) and name for name in clusters.values()):
        return None
    return clusters


def _names(clusters: Sequence[Sequence[str]]) -> list[str]:
    """Name each cluster of titles by words that are frequent in it and rare in other clusters. The names differ."""
    counts = [Counter(word for title in titles for word in _words(title)) for titles in clusters]
    cluster_counts = Counter(word for count in counts for word in count)
    names: list[str] = []
    for count, titles in zip(counts, clusters, strict=True):
        # The weight is tf-idf over clusters: a word that occurs in every cluster has the lowest factor.
        weights = {word: n * np.log(1 + len(clusters) / cluster_counts[word]) for word, n in count.items()}
        words = sorted(weights, key=lambda word: (-weights[word], word))[:WORDS_OF_NAME]
        # Titles that consist of digits or stop words have no words. The first title is then the name.
        name = " ".join(words).capitalize()[:LONGEST_NAME] or (titles[0][:LONGEST_NAME] if titles else "Others")
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


def _words(title: str) -> set[str]:
    words = {match[1] or match[0] for match in _WORD.finditer(title.casefold())}
    return {word for word in words if not _STOP_WORD.fullmatch(word)}
