"""Topic clusters: names for groups of items that have no topics."""

from whimbrel.tools.log.topic_clusters import cluster_topics
from whimbrel.tools.records import Item
from whimbrel.tools.text.item_vectors import item_vectors


def test_clusters_are_named_in_any_letters() -> None:
    titles = [f"{colour}色连衣裙" for colour in "红黑白蓝绿黄紫灰粉棕"] + [
        f"{kind}蓝牙耳机" for kind in "小大新旧轻重长短圆方"
    ]
    items = [Item(title=title) for title in titles]
    clusters = cluster_topics(items, item_vectors(items))
    assert all(len(name) <= 8 for name in clusters.values())
    same = [Item(item_id=str(n), title="same") for n in range(30)]
    assert set(cluster_topics(same, item_vectors(same)).values()) == {"Same"}
