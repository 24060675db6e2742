"""The store: as of a moment, locked, and checked at opening."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whimbrel.evals.studies.chroma_server import chroma_server
from whimbrel.tools.errors import DataError, StoreError
from whimbrel.tools.records import Occurrence
from whimbrel.tools.retrieval.candidates import retrieve
from whimbrel.tools.retrieval.channels import RetrievalQuery
from whimbrel.tools.retrieval.interest import interest_of
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store import clients
from whimbrel.tools.store.store import open_store


def test_a_planted_future_event_changes_no_candidate(shop_csv: Path, tmp_path: Path) -> None:
    planted = tmp_path / "planted.csv"
    at = 1_600_000_000 + 20 * 86_400
    late = [f"u{n},Rocket {n % 3},Space,{at + n},purchase,home" for n in range(12)]
    late += [f"u{n},Oak table 19,Furniture,{at + n},purchase,home" for n in range(12)]
    planted.write_text(shop_csv.read_text() + "\n".join(late) + "\n")
    found = []
    for source in (shop_csv, planted):
        folder = tmp_path / source.stem
        ingest(open_source(str(source)), folder)
        with open_store(folder) as store:
            history = store.history("u1", before=at)
            vectors = store.item_vectors([event.item_id for event in history])
            candidates = retrieve(store, RetrievalQuery(history, at, interest_of(history, vectors)))
            found.append(
                {
                    (c.item.title, *(round(c.statistics[name], 9) for name in ("itemknn", "user_knn", "popularity")))
                    for c in candidates
                }
            )
    assert found[0] == found[1]
    assert found[0]
    assert not any("Rocket" in title for title, *_ in found[1])


def test_a_history_ends_before_its_moment_and_an_unknown_user_is_an_error(shop: Path) -> None:
    with open_store(shop) as store:
        whole = store.history("u3")
        middle = whole[20].time
        assert [e.event_id for e in store.history("u3", before=middle)] == [
            e.event_id for e in whole if e.time < middle
        ]
        with pytest.raises(DataError, match="no user 'nobody'"):
            store.history("nobody")


def test_a_long_history_is_kept_in_chunks(tmp_path: Path) -> None:
    log = tmp_path / "a.csv"
    log.write_text("user_id,title,time\n" + "\n".join(f"u,Thing {n % 7},{10**9 + n}" for n in range(11_000)) + "\n")
    ingest(open_source(str(log)), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        assert [event.time for event in store.history("u")] == [10**9 + n for n in range(11_000)]


def test_a_locked_store_names_the_process_that_holds_it(shop: Path) -> None:
    program = "import sys; from whimbrel.tools.store.store import open_store; s = open_store(sys.argv[1]); print('open', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(shop)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"in use by process {holder.pid}"):
            open_store(shop)
        holder.kill()
    with open_store(shop) as store:
        assert store.history("u1")


def test_a_store_of_another_encoder_is_refused(shop_csv: Path, tmp_path: Path) -> None:
    ingest(open_source(str(shop_csv)), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        store._database.replace_metadata({**store._database.metadata, "encoder": "another"})
    with pytest.raises(StoreError, match="made with encoder 'another'"):
        open_store(tmp_path / "s")


def test_no_store_and_no_server_are_errors_that_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make one with `whimbrel ingest"):
        open_store(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(StoreError, match="does not answer as a Chroma server"):
        open_store("http://127.0.0.1:9")


def test_a_chroma_server_serves_the_same_store(
    shop_csv: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with chroma_server(tmp_path / "server") as server:
        ingest(open_source(str(shop_csv)), server.address)
        with open_store(server.address) as served, open_store(shop) as embedded:
            assert served.history("u2") == embedded.history("u2")
            assert served.log.item_ids == embedded.log.item_ids


def test_a_server_that_hangs_is_an_error_and_serves_again_later(
    shop_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with chroma_server(tmp_path / "server") as server:
        ingest(open_source(str(shop_csv)), server.address)
        monkeypatch.setattr(clients, "OPENING_SECONDS", 0.5)
        monkeypatch.setattr("whimbrel.tools.store.chroma.READING_SECONDS", 1.0)
        with open_store(server.address) as store:
            history = store.history("u2")
            with server.hanging():
                for read in (lambda: store.history("u3"), lambda: open_store(server.address)):
                    with pytest.raises(StoreError, match="its server gives no answer"):
                        read()
            assert store.history("u2") == history
            assert store.history("u3")


def test_a_damaged_record_is_an_error_that_says_what_to_do(shop_csv: Path, tmp_path: Path) -> None:
    ingest(open_source(str(shop_csv)), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        metadata = {"user_id": "u1", "chunks": 1, "count": 1, "last": 0.0, "events": "[[1.0"}
        store._database.upsert("users", ["u1\x1f0"], np.ones((1, 384), dtype=np.float32), [metadata])
        with pytest.raises(StoreError, match="damaged record"):
            store.history("u1")


def test_an_added_event_is_seen_at_once_and_after_reopening_and_a_forgotten_user_is_not(
    shop_csv: Path, tmp_path: Path
) -> None:
    ingest(open_source(str(shop_csv)), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        item_id = store.history("u1")[0].item_id
        store.add("new", Occurrence(1_700_000_000.0, item_id, "click"))
        assert (store.log.end, store.log.user_ids[-1]) == (1_700_000_000.0, "new")
        with pytest.raises(DataError, match="ingest it first"):
            store.add("new", Occurrence(1_700_000_000.0, "unknown", "click"))
    with open_store(tmp_path / "s") as store:
        assert [event.event for event in store.history("new")] == ["click"]
        assert store.log.end == 1_700_000_000.0
        assert store.forget("new")["events"] == 1
        assert "new" not in store.log.user_ids
        assert len(list((tmp_path / "s").glob("log-*.npz"))) == 1
    with open_store(tmp_path / "s") as store, pytest.raises(DataError, match="no user 'new'"):
        store.history("new")


def test_a_log_whose_file_was_changed_is_built_again(shop_csv: Path, tmp_path: Path) -> None:
    ingest(open_source(str(shop_csv)), tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        expected = store.log
        (file,) = (tmp_path / "s").glob("log-*.npz")
    whole, random = file.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[random.integers(len(whole))] ^= 1 << int(random.integers(8))
        file.write_bytes(damaged)
        with open_store(tmp_path / "s") as store:
            # Situations are numbered as they come, which differs between records and rows of a source.
            for name in set(expected.__dataclass_fields__) - {"situation", "situations"}:
                assert np.array_equal(getattr(store.log, name), getattr(expected, name)), name
            situations = [[log.situations[row] for row in log.situation] for log in (store.log, expected)]
            assert situations[0] == situations[1]
        assert file.read_bytes() != damaged


def test_items_without_topics_have_those_of_named_clusters(tmp_path: Path) -> None:
    kinds = ["green tea leaves", "black tea bags", "hiking boots leather", "trail hiking boots"]
    log = tmp_path / "bare.csv"
    rows = [f"u{n % 3},{kinds[n % 4]} number {n},{1_600_000_000 + n * 3600}" for n in range(40)]
    log.write_text("\n".join(["user_id,title,time", *rows]))
    for _ in range(2):
        ingest(open_source(str(log)), tmp_path / "store")
        with open_store(tmp_path / "store") as store:
            history = store.history("u0")
            topics = {topic for event in history for topic in event.topics}
            assert topics <= set(store.log.topics)
            assert all(event.topics for event in history)
            words = {word for kind in kinds for word in kind.split()} | {"number", "2", "3", "4"}
            names = [re.sub(r"[()]", "", name.casefold()) for name in store.topic_vectors()]
            assert all(set(name.split()) <= words for name in names)
            by_kind = {kind: {e.topics for e in history if kind in e.title} for kind in ("tea", "boots")}
            assert by_kind["tea"].isdisjoint(by_kind["boots"])
    with_topics = tmp_path / "with_topics.csv"
    with_topics.write_text("\n".join(["user_id,title,time,topics", f"u0,{kinds[0]} number 0,1600000000,Drinks"]))
    ingest(open_source(str(with_topics)), tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        assert store.history("u0")[0].topics == ("Drinks",)
