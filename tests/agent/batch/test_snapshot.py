"""A snapshot gives the answers of its store."""

from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.batch.snapshot import open_snapshot, write_snapshot
from whimbrel.tools.errors import StoreError
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.store.vectors import reencode
from whimbrel.tools.text.multilingual import MULTILINGUAL

MOMENT = 1_500_000_000.0 + 4 * 7000 - 1


def varied_store(folder: Path) -> Path:
    """A store with ratings, event words of its own, situations, a zone, and a title that changes over time."""
    lines = ["user_id,item_id,title,topics,time,event,rating,context.place"]
    for user in range(9):
        for turn in range(12):
            item = (user * 5 + turn * 7) % 30
            title = f"Thing {item}" if turn < 4 else f"Thing {item} (new edition)"
            event = ("purchase", "view", "gawp", "dislike")[(user + turn) % 4]
            rating = "" if turn % 3 else str(1 + turn % 5)
            place = ("home", "work", "")[turn % 3]
            time = 1_500_000_000 + turn * 7000 + user * 11
            lines.append(f"u{user},i{item},{title},Shelf {item % 4},{time},{event},{rating},{place}")
    source = folder / "varied.csv"
    source.write_text("\n".join(lines) + "\n")
    ingest(open_source(str(source)), folder / "varied", meanings={"gawp": "seen"}, timezone="Europe/Berlin")
    return folder / "varied"


def break_history(store: Store, user_id: str) -> None:
    """Replace the record of a user by one that cannot be read."""
    store._database.upsert("users", [f"{user_id}\x1f0"], np.ones((1, 384), np.float32), [{"history": "x"}])


def test_a_snapshot_gives_the_answers_of_its_store(tmp_path: Path) -> None:
    location = varied_store(tmp_path)
    with open_store(location) as store:
        write_snapshot(store, tmp_path / "snapshot", before=MOMENT, progress=NoProgress())
        catalogue = open_snapshot(tmp_path / "snapshot").catalogue
        log = store.log
        assert {word for user in log.user_ids for word in (event.event for event in store.history(user))} == {
            "purchase",
            "view",
            "gawp",
            "dislike",
        }
        for user_id in log.user_ids:
            assert catalogue.history(user_id, before=MOMENT) == store.history(user_id, before=MOMENT)
            assert [event.meaning for event in catalogue.history(user_id)] == [
                event.meaning for event in store.history(user_id)
            ]
        assert catalogue.items(log.item_ids) == store.items(log.item_ids, before=MOMENT)
        assert catalogue.items(log.item_ids) != store.items(log.item_ids)
        for item_id, vector in store.item_vectors(log.item_ids).items():
            assert np.array_equal(catalogue.item_vectors([item_id])[item_id], vector)
            (near,), (stored,) = catalogue.nearest(vector[None], n=5), store.nearest(vector[None], n=5)
            assert [cosine for _, cosine in near] == pytest.approx([cosine for _, cosine in stored], abs=1e-5)
            assert set(catalogue.people_near(vector, n=9)) == set(store.people_near(vector, n=9))
            assert catalogue.people_near(vector, n=3) == store.people_near(vector, n=3)
        topics = store.topic_vectors(before=MOMENT)
        assert topics.keys() == catalogue.topic_vectors(before=MOMENT).keys()
        assert all(np.array_equal(topics[name], catalogue.vectors_of_topics([name])[0]) for name in topics)
        habits, stored_habits = catalogue.habits(before=MOMENT), store.habits(before=MOMENT)
        assert habits is not None
        assert stored_habits is not None
        assert np.array_equal(habits.hours, stored_habits.hours)
        assert habits.zone == stored_habits.zone
        assert catalogue.item_count() == store.item_count()


def test_a_history_that_cannot_be_read_is_an_error_of_its_user_only(tmp_path: Path) -> None:
    location = varied_store(tmp_path)
    with open_store(location) as store:
        break_history(store, "u1")
        write_snapshot(store, tmp_path / "snapshot", before=MOMENT, progress=NoProgress())
        whole = store.history("u2")
    catalogue = open_snapshot(tmp_path / "snapshot").catalogue
    with pytest.raises(StoreError, match="damaged record"):
        catalogue.history("u1")
    assert [event.event_id for event in catalogue.history("u2")] == [event.event_id for event in whole]


def test_a_snapshot_that_was_stopped_is_made_anew(tmp_path: Path) -> None:
    location = varied_store(tmp_path)
    (tmp_path / "snapshot.partial").mkdir()
    (tmp_path / "snapshot.partial" / "items.jsonl").write_text("{")
    with open_store(location) as store:
        write_snapshot(store, tmp_path / "snapshot", before=MOMENT, progress=NoProgress())
    assert len(open_snapshot(tmp_path / "snapshot").catalogue.all_items()) == 30
    assert not (tmp_path / "snapshot.partial").exists()


def test_a_snapshot_has_the_text_encoder_of_its_store(tmp_path: Path) -> None:
    location = varied_store(tmp_path)
    reencode(str(location), MULTILINGUAL)
    with open_store(location) as store:
        write_snapshot(store, tmp_path / "snapshot", before=MOMENT, progress=NoProgress())
        assert open_snapshot(tmp_path / "snapshot").catalogue.encoder is store.encoder is MULTILINGUAL
