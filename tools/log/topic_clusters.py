"""Topics for items that have none: clusters of their text vectors, named by the words that tell them apart."""

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

LEAST_ITEMS = 20
"""Items without topics from which on they are clustered."""
MOST_CLUSTERS = 64
ROUNDS = 20
WORDS, MOST_SIGNS = 2, 60
"""Words of a name, and signs at most."""
_WORD = re.compile(r"(?:(?![\u3040-\u30ff\u4e00-\u9fff])[^\W\d_]){3,}|(?=([\u3040-\u30ff\u4e00-\u9fff]{2}))")
"""Words of letters, and each two neighbouring signs of Chinese and Japanese."""
_EMPTY = re.compile(r"and|are|for|from|has|her|his|its|not|that|the|their|this|was|with|you|your")


def name_clusters(items: Sequence[Item], vectors: Vectors) -> dict[str, str]:
    """The cluster of each item by its id: k-means (Lloyd, 1982; seeded) over unit vectors, shape (items, dimension), in
    about as many clusters as the square root of half the items. Nothing for fewer than LEAST_ITEMS.
    """
    if len(items) < LEAST_ITEMS:
        return {}
    from scipy.cluster.vq import kmeans2

    distinct, row = np.unique(vectors.astype(np.float64), axis=0, return_inverse=True)
    count = min(max(round((len(items) / 2) ** 0.5), 2), MOST_CLUSTERS, len(distinct))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cluster may come out empty
        _, of_distinct = kmeans2(distinct, count, iter=ROUNDS, minit="++", seed=0)
    member = of_distinct[row.ravel()]
    names = _names([[item.title for item, m in zip(items, member, strict=True) if m == n] for n in range(count)])
    return {item.item_id: names[m] for item, m in zip(items, member, strict=True)}


def with_topics(items: Sequence[Item], clusters: Mapping[str, str]) -> list[Item]:
    """The items, those without topics with that of their cluster where it is known."""
    return [
        item.model_copy(update={"topics": (clusters[item.item_id],)})
        if not item.topics and item.item_id in clusters
        else item
        for item in items
    ]


def write_clusters(path: Path, clusters: Mapping[str, str]) -> None:
    """Keep them in a file, even where there are none: a file that is absent is to be made again."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(clusters, ensure_ascii=False), "utf-8")


def read_clusters(path: Path) -> dict[str, str] | None:
    """What `write_clusters` kept; None where the file is absent or damaged."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not all(isinstance(name, str) and name for name in found.values()):
        return None
    return found


def _names(clusters: Sequence[Sequence[str]]) -> list[str]:
    """Of each cluster of titles the words that are frequent in it and rare in others; no two are called the same."""
    counts = [Counter(word for title in titles for word in _words(title)) for titles in clusters]
    held = Counter(word for count in counts for word in count)
    names: list[str] = []
    for count, titles in zip(counts, clusters, strict=True):
        telling = sorted(count, key=lambda word: (-count[word] * np.log(1 + len(clusters) / held[word]), word))[:WORDS]
        name = " ".join(telling).capitalize()[:MOST_SIGNS] or (titles[0][:MOST_SIGNS] if titles else "Others")
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


def _words(title: str) -> set[str]:
    found = {match[1] or match[0] for match in _WORD.finditer(title.casefold())}
    return {word for word in found if not _EMPTY.fullmatch(word)}
