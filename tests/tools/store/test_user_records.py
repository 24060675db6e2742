"""Records of users: histories in chunks, under the taste of their latest events."""

from pathlib import Path

import numpy as np
import pytest

from whimbrel.tools.records import Item, Occurrence
from whimbrel.tools.store import user_records
from whimbrel.tools.store.item_records import FROM_CATALOGUE, ItemRecord
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.text.minilm import ENGLISH

TITLES = {"tea": "Green tea", "hose": "Garden hose"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with open_store(tmp_path / "store", create=True, writing=True) as opened:
        items = [ItemRecord(Item(item_id=id_, title=title), FROM_CATALOGUE) for id_, title in TITLES.items()]
        opened.put_items(items, ENGLISH.encode(list(TITLES.values())))
        yield opened


def test_histories_of_any_length_come_back_in_order_and_equal_events_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_records, "CHUNK_SIZE", 3)
    events = [Occurrence(float(time), "tea", "purchase") for time in range(8)]
    assert store.merge_histories({"u": events[4:], "v": [events[0]]}) == 5
    assert store.merge_histories({"u": events[:6]}) == 4
    assert [event.time for event in store._users.read(["u"])["u"]] == [event.time for event in events]
    assert store._database.count("users") == 3 + 1
    assert sorted(row[0] for _, rows in store._users.chunks() for row in rows) == sorted([*range(8), 0])
    store._users.replace("u", events, [], store.item_vectors)
    assert list(store._users.read(["u", "v", "nobody"])) == ["v"]


def test_a_user_is_near_the_items_of_their_latest_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_records, "CHUNK_SIZE", 3)
    early = [Occurrence(float(time), "hose", "purchase") for time in range(4)]
    late = [Occurrence(float(time), "tea", "purchase") for time in range(100, 200)]
    store.merge_histories({"gardener": early, "drinker": [*early, *late]})
    vectors = store.item_vectors(["tea", "hose"])
    assert store.people_near(vectors["hose"], n=10) == ["gardener", "drinker"]
    assert store.people_near(vectors["tea"], n=1) == ["drinker"]


def test_taste_is_a_unit_vector_in_which_an_item_of_twenty_events_ago_weighs_half(store: Store) -> None:
    one, other = np.eye(2, dtype=np.float32)
    taste = user_records.taste_vector([one, *[other] * user_records.TASTE_HALF_LIFE])
    weights = 0.5 ** (np.arange(user_records.TASTE_HALF_LIFE) / user_records.TASTE_HALF_LIFE)
    assert taste[0] / taste[1] == pytest.approx(0.5 / weights.sum(), rel=1e-5)
    assert np.linalg.norm(taste) == pytest.approx(1.0)
