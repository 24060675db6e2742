"""Further vectors of items in a store: forgotten with their item, repaired, and absent from stores without any."""

from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.batch.snapshot import open_snapshot, write_snapshot
from whimbrel.evals.studies.chroma_server import chroma_server
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.chroma import purge_server
from whimbrel.tools.store.modalities import FROM_SOURCE, Maker
from whimbrel.tools.store.repair import _index_of, check_store, repair_store
from whimbrel.tools.store.store import Store, open_store

ITEMS, LENGTH = 30, 4
MARK = np.float32(0.7310586).tobytes()
"""The first number of the vector of the item that only u0 met, as bytes of a file."""


def read_log(folder: Path, location: str | Path) -> None:
    """Write a log into a store: 30 items with vectors, of which only u0 met the last."""
    numbers = np.random.default_rng(0).normal(size=(ITEMS, LENGTH))
    numbers[-1] = [0.7310586, np.sqrt(1 - 0.7310586**2), 0, 0]
    rows = ["user_id,item_id,title,topics,time,vector.sound"]
    for user in range(6):
        for item in range(ITEMS - 1 if user else ITEMS):
            vector = numbers[item].tolist() if item % 3 or item == ITEMS - 1 else ""
            rows.append(f'u{user},i{item:02},Thing {item},Shelf {item % 4},{1.5e9 + user * 1000 + item},"{vector}"')
    (folder / "log.csv").write_text("\n".join(rows))
    ingest(open_source(str(folder / "log.csv")), location)
    (folder / "log.csv").unlink()


def kept(store: Store) -> dict[str, list[float]]:
    vectors = store.vectors_by_modality(store.log.item_ids).get("sound", {})
    return {item_id: np.round(vector, 5).tolist() for item_id, vector in vectors.items()}


@pytest.fixture
def location(tmp_path: Path) -> Path:
    read_log(tmp_path, tmp_path / "shop")
    return tmp_path / "shop"


def holds(folder: Path) -> bool:
    return any(MARK in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_vector_is_forgotten_with_the_item_that_only_one_person_met(location: Path) -> None:
    last = f"i{ITEMS - 1:02}"
    with open_store(location) as store:
        before = kept(store)
        assert last in before
    assert holds(location)
    with open_store(location) as store:
        assert store.forget("u0")["items"] == 1
        assert kept(store) == {item_id: vector for item_id, vector in before.items() if item_id != last}
    assert not holds(location)
    with open_store(location) as store:
        assert len(kept(store)) == len(before) - 1


def test_a_server_notices_a_modality_that_another_process_made_and_is_purged_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with chroma_server(tmp_path / "server") as server:
        address = f"{server.address}/shop"
        (tmp_path / "plain.csv").write_text("user_id,title,time\nu,Thing,1500000000\n")
        ingest(open_source(str(tmp_path / "plain.csv")), address)
        with open_store(address) as early:
            assert early.vectors_by_modality(early.log.item_ids) == {}
            read_log(tmp_path, address)
            early._noticed = -1e9  # as if a second had passed
            early.refresh()
            assert f"i{ITEMS - 1:02}" in kept(early)
        with open_store(address, writing=True) as store:
            store.forget("u0")
            assert f"i{ITEMS - 1:02}" not in kept(store)
    assert purge_server(tmp_path / "server") == 1
    assert not holds(tmp_path / "server")


def test_a_damaged_index_of_vectors_is_dropped_and_the_rest_of_the_store_stays(location: Path) -> None:
    with open_store(location) as store:
        store.forget("u5")  # the purge writes each index
    with open_store(location) as store:
        before = store.item_vectors(store.log.item_ids)
    path = location / _index_of(location, "vector.sound") / "header.bin"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    damages = check_store(location)
    assert [(damage.part, damage.can_be_repaired) for damage in damages] == [("index of vector.sound", True)]
    assert "ingest the source again" in damages[0].repair
    repair_store(location, damages)
    assert check_store(location) == []
    with open_store(location) as store:
        assert store.modalities.names == []
        np.testing.assert_array_equal(list(store.item_vectors(store.log.item_ids).values()), list(before.values()))


def test_a_snapshot_has_the_vectors_of_its_store(location: Path, tmp_path: Path) -> None:
    with open_store(location) as store:
        write_snapshot(store, tmp_path / "snapshot", before=np.inf, progress=NoProgress())
        catalogue = open_snapshot(tmp_path / "snapshot").catalogue
        ids = [*store.log.item_ids, "nothing"]
        ours, theirs = catalogue.vectors_by_modality(ids)["sound"], store.vectors_by_modality(ids)["sound"]
        assert ours.keys() == theirs.keys()
        assert 0 < len(ours) < ITEMS
        for item_id, vector in ours.items():
            np.testing.assert_allclose(vector, theirs[item_id], atol=1e-6)


def test_a_modality_keeps_its_maker(location: Path) -> None:
    with open_store(location) as store:
        assert store.modalities.maker("sound") == Maker(FROM_SOURCE, LENGTH)
        assert store.modalities.maker("look") is None
        assert store.modalities.origins("look", ["i01"]) == {}
        assert store.modalities.count("look") == 0


def test_a_store_without_vectors_has_no_collection_of_them(shop: Path) -> None:
    with open_store(shop) as store:
        assert store.modalities.names == []
        assert store.vectors_by_modality(store.log.item_ids) == {}
        assert not any(name.startswith("vector.") for name in store._database.collections)
