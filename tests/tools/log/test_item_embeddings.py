"""Item embeddings: close where items are met near each other, and learned from nothing that comes later."""

from pathlib import Path

import numpy as np

from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.log.item_embeddings import DIMENSIONS, LEAST_EMBEDDED_ITEMS, ItemEmbeddings
from whimbrel.tools.records import Item

SIZE = 300
ITEMS = [Item(item_id=f"i{number:03}", title=f"i{number:03}") for number in range(SIZE)]


def walks(users: int = 260, *, seed: int = 0) -> list[EventRow]:
    """Users who walk along a ring of items, most often one step on, a minute a step."""
    random, rows, time = np.random.default_rng(seed), list[EventRow](), 0.0
    for user in range(users):
        place = int(random.integers(SIZE))
        for _ in range(14):
            place = (place + int(random.choice([1, 2, 3]))) % SIZE
            rows.append((time := time + 60.0, f"u{user:03}", f"i{place:03}", None))
    return rows


def test_items_that_lie_near_each_other_in_histories_have_close_embeddings() -> None:
    embeddings = ItemEmbeddings.of(InteractionLog.build(ITEMS, walks(600)))
    assert embeddings is not None
    assert np.allclose(np.linalg.norm(embeddings.vectors, axis=1), 1, atol=1e-5)
    cosines = embeddings.vectors @ embeddings.vectors[100]
    assert cosines[[99, 101, 102]].mean() > np.sort(cosines)[-20]


def test_embeddings_are_learned_from_the_events_before_the_moment_alone() -> None:
    rows = walks()
    cut = rows[len(rows) * 3 // 4][0]
    past = [row for row in rows if row[0] < cut]
    short, whole = (ItemEmbeddings.of(InteractionLog.build(ITEMS, events), before=cut) for events in (past, rows))
    assert short is not None
    assert whole is not None
    assert np.array_equal(short.vectors, whole.vectors)
    assert past[-1][0] < whole.until <= cut


def test_too_few_items_have_no_embeddings() -> None:
    few = InteractionLog.build(ITEMS, [(1.0, "u", "i001", None)])
    assert len(few.item_ids) > LEAST_EMBEDDED_ITEMS
    assert ItemEmbeddings.of(few) is None


def test_embeddings_are_read_as_they_were_saved(tmp_path: Path) -> None:
    embeddings = ItemEmbeddings(["a", "é\u2028"], np.eye(2, DIMENSIONS, dtype=np.float32), until=3.5)
    embeddings.save(tmp_path / "embeddings.npz")
    again = ItemEmbeddings.load(tmp_path / "embeddings.npz")
    assert (again.item_ids, again.until) == (embeddings.item_ids, embeddings.until)
    assert np.array_equal(again.vectors, embeddings.vectors)


def test_an_item_that_is_new_in_the_log_has_no_embedding() -> None:
    embeddings = ItemEmbeddings(["b", "a"], np.eye(2, DIMENSIONS, dtype=np.float32), until=3.5)
    log = InteractionLog.build([Item(item_id=id_, title=id_) for id_ in ("a", "a new one", "b")], [])
    moved = embeddings.for_log(log)
    assert moved.vectors[:, :2].tolist() == [[0, 1], [0, 0], [1, 0]]
    assert moved.for_log(log) is moved
