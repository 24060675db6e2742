"""Topics for items that have none: clusters of their text vectors, named by the words that set them apart."""

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
"""Fewer items without topics than this are not clustered."""
MOST_CLUSTERS = 64
KMEANS_ITERATIONS = 20
WORDS_OF_NAME, LONGEST_NAME = 2, 60
"""How many words name a cluster, and how many characters the name has at most."""
_WORD = re.compile(r"(?:(?![\u3040-\u30ff\u4e00-\u9fff])[^\W\d_]){3,}|(?=([\u3040-\u30ff\u4e00-\u9fff]{2}))")
"""Words of three letters or more, and each two neighbouring characters of Chinese and Japanese, which have no spaces
between words."""
_STOP_WORD = re.compile(r"and|are|for|from|has|her|his|its|not|that|the|their|this|was|with|you|your")


def cluster_topics(items: Sequence[Item], vectors: Vectors) -> dict[str, str]:
    """Cluster items by their texts, and return the name of each item's cluster by the item's id.

    The clusters are found by k-means (Lloyd, 1982), seeded. There are about as many as the square root of half the
    number of items, from 2 to MOST_CLUSTERS, and no more than there are distinct vectors.

    Args:
        items: The items.
        vectors: Their unit text vectors, shape (items, dimension).

    Returns:
        Nothing for fewer than LEAST_CLUSTERED_ITEMS items.
    """
    if len(items) < LEAST_CLUSTERED_ITEMS:
        return {}
    from scipy.cluster.vq import kmeans2

    # Items of equal text are one point, so that there are never more clusters than points.
    distinct, row = np.unique(vectors.astype(np.float64), axis=0, return_inverse=True)
    count = min(max(round((len(items) / 2) ** 0.5), 2), MOST_CLUSTERS, len(distinct))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster may be empty; its name is then never used
        _, cluster_of_distinct = kmeans2(distinct, count, iter=KMEANS_ITERATIONS, minit="++", seed=0)
    clusters = cluster_of_distinct[row.ravel()]
    titles: list[list[str]] = [[] for _ in range(count)]
    for item, cluster in zip(items, clusters, strict=True):
        titles[cluster].append(item.title)
    names = _names(titles)
    return {item.item_id: names[cluster] for item, cluster in zip(items, clusters, strict=True)}


def with_cluster_topics(items: Sequence[Item], clusters: Mapping[str, str]) -> list[Item]:
    """Return the items; an item without topics gets the name of its cluster as its topic, where it has a cluster.

    Args:
        items: The items.
        clusters: The name of each item's cluster, by the item's id.
    """
    return [
        item.model_copy(update={"topics": (clusters[item.item_id],)})
        if not item.topics and item.item_id in clusters
        else item
        for item in items
    ]


def write_clusters(path: Path, clusters: Mapping[str, str]) -> None:
    """Write clusters into a file, even where there are none: where the file is absent, items are clustered again."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(clusters, ensure_ascii=False), "utf-8")


def read_clusters(path: Path) -> dict[str, str] | None:
    """Read what `write_clusters` wrote; None where the file is absent or damaged."""
    try:
        clusters = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(clusters, dict) or not all(isinstance(name, str) and name for name in clusters.values()):
        return None
    return clusters


def _names(clusters: Sequence[Sequence[str]]) -> list[str]:
    """Name clusters of titles by the words that are frequent in one and rare in the others; no two names are equal."""
    counts = [Counter(word for title in titles for word in _words(title)) for titles in clusters]
    cluster_counts = Counter(word for count in counts for word in count)
    names: list[str] = []
    for count, titles in zip(counts, clusters, strict=True):
        # tf-idf over clusters: a word that every cluster has weighs least.
        weights = {word: n * np.log(1 + len(clusters) / cluster_counts[word]) for word, n in count.items()}
        words = sorted(weights, key=lambda word: (-weights[word], word))[:WORDS_OF_NAME]
        # Titles of digits or of stop words alone have no words: the first title is then the name.
        name = " ".join(words).capitalize()[:LONGEST_NAME] or (titles[0][:LONGEST_NAME] if titles else "Others")
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


def _words(title: str) -> set[str]:
    words = {match[1] or match[0] for match in _WORD.finditer(title.casefold())}
    return {word for word in words if not _STOP_WORD.fullmatch(word)}
