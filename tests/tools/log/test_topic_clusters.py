"""Topic clusters: names for groups of items that have no topics."""

from pathlib import Path

from whimbrel.tools.log.topic_clusters import (
    LEAST_CLUSTERED_ITEMS,
    cluster_topics,
    read_clusters,
    with_cluster_topics,
    write_clusters,
)
from whimbrel.tools.records import Item
from whimbrel.tools.text.item_vectors import item_vectors

WORDS = ("Fine", "Large", "Small", "Cheap", "Old", "New", "Best", "Plain", "Soft", "Long")


def test_clusters_are_named_in_any_letters() -> None:
    titles = [f"{colour}色连衣裙" for colour in "红黑白蓝绿黄紫灰粉棕"] + [
        f"{kind}蓝牙耳机" for kind in "小大新旧轻重长短圆方"
    ]
    items = [Item(title=title) for title in titles]
    clusters = cluster_topics(items, item_vectors(items))
    dresses, earphones = ({clusters[item.item_id] for item in half} for half in (items[:10], items[10:]))
    assert not dresses & earphones
    assert all("衣裙" in name for name in dresses)
    assert all("耳机" in name for name in earphones)
    same = [Item(item_id=str(n), title="same") for n in range(30)]
    assert set(cluster_topics(same, item_vectors(same)).values()) == {"Same"}


def test_items_of_one_subject_share_a_cluster_named_by_its_words() -> None:
    titles = [f"{word} green tea" for word in WORDS] + [f"{word} garden hose" for word in WORDS]
    items = [Item(title=title) for title in titles]
    clusters = cluster_topics(items, item_vectors(items))
    assert clusters == cluster_topics(items, item_vectors(items))  # seeded
    teas, hoses = ({clusters[item.item_id] for item in half} for half in (items[:10], items[10:]))
    assert not teas & hoses
    assert any("tea" in name.casefold() for name in teas)
    assert any("hose" in name.casefold() for name in hoses)


def test_too_few_items_are_not_clustered() -> None:
    items = [Item(title=f"Thing {number}") for number in range(LEAST_CLUSTERED_ITEMS)]
    assert cluster_topics(items[1:], item_vectors(items[1:])) == {}
    assert cluster_topics(items, item_vectors(items)).keys() == {item.item_id for item in items}


def test_only_an_item_without_topics_gets_the_topic_of_its_cluster() -> None:
    items = [Item(item_id="a", title="a"), Item(item_id="b", title="b", topics=("B",)), Item(item_id="c", title="c")]
    with_topics = with_cluster_topics(items, {"a": "Tea", "b": "Tea"})
    assert [item.topics for item in with_topics] == [("Tea",), ("B",), ()]


def test_clusters_are_read_as_they_were_written_and_a_damaged_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "clusters.json"
    assert read_clusters(path) is None
    for clusters in ({"a": "茶"}, {}):
        write_clusters(path, clusters)
        assert read_clusters(path) == clusters
    for damaged in ("", '{"a": ', "[]", '{"a": 1}', '{"a": ""}', "[" * 5000):
        path.write_text(damaged)
        assert read_clusters(path) is None
