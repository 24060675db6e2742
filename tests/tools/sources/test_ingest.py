"""Ingestion: no row is lost or counted twice, and no store is left half written unnoticed."""

import gzip
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.store.store import open_store


def read(path: Path, store: Path, **options: object) -> Ingested:
    return ingest(open_source(str(path), **options), store)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, list[str]]:
    with open_store(folder) as store:
        return {u: [e.model_dump_json() for e in store.history(u)] for u in sorted(store.log.user_ids)}


def test_bad_rows_are_kept_with_line_and_reason(tmp_path: Path) -> None:
    log = tmp_path / "a.csv"
    log.write_text("user_id,title,time\n1,A,2020-01-01\n2,,2020-01-01\n3,C,yesterday\n4,D\n5,E,99999999999\n")
    done = read(log, tmp_path / "s")
    assert (done.rows, done.events, done.rejected) == (5, 1, 4)
    assert done.rejects is not None
    rejects = [json.loads(line) for line in done.rejects.read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [3, 4, 5, 6]
    for reject, words in zip(rejects, ("title", "no known format", "2 cells", "1800 and 2200"), strict=True):
        assert words in reject["reason"]


def test_ingesting_twice_changes_nothing(shop_csv: Path, shop: Path) -> None:
    before = contents(shop)
    second = read(shop_csv, shop)
    assert (second.new_events, second.new_items) == (0, 0)
    assert contents(shop) == before


def test_an_ingestion_that_was_killed_completes_when_run_again(shop_csv: Path, shop: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    program = (
        "import os, signal, sys; from whimbrel.tools.sources import ingest as i; from whimbrel.tools.store import store as s; from whimbrel.tools.sources.formats import open_source;"
        "real = s.Store.merge_histories;"
        "i.BATCH_SIZE = 10;"
        "n = [];"
        "s.Store.merge_histories = lambda self, h: (n.append(1), os.kill(os.getpid(), 9) if len(n) > 2 else 0, real(self, h))[2];"
        "i.ingest(open_source(sys.argv[1]), sys.argv[2], command=sys.argv[1])"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(shop_csv), str(store)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(Exception, match=r"unfinished: run `whimbrel ingest .*shop\.csv"):
        open_store(store)
    other = tmp_path / "other.csv"
    other.write_text("user_id,title,time\nz,Zither,2020-01-01\n")
    read(other, store)
    with pytest.raises(Exception, match=r"unfinished: run `whimbrel ingest .*shop\.csv"):
        open_store(store)
    ingest(open_source(str(shop_csv)), store, command=str(shop_csv))
    kept = contents(store)
    assert len(kept.pop("z")) == 1
    assert kept == contents(shop)


@pytest.mark.parametrize("stop", ["os.kill(os.getpid(), 9)", "(_ for _ in ()).throw(KeyboardInterrupt)"])
def test_an_ingestion_that_was_stopped_goes_on_without_reading_again(
    stop: str, shop_csv: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = (
        "import os, sys; from whimbrel.tools.store import store as s; from whimbrel.tools.sources import ingest as i;"
        "from whimbrel.tools.sources.formats import open_source;"
        f"s.Store.merge_histories = lambda self, histories: {stop};"
        "i.ingest(open_source(sys.argv[1]), sys.argv[2])"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(shop_csv), str(tmp_path / "s")], check=False, stderr=subprocess.DEVNULL
    )
    assert len(list((tmp_path / "cache").rglob("*.duckdb"))) == 1
    source = open_source(str(shop_csv))
    batches: list[object] = []
    watched = replace(source, columns=(batches.append(batch) or batch for batch in source.batches()))  # type: ignore[func-returns-value]
    ingest(watched, tmp_path / "s")
    assert not batches
    assert contents(tmp_path / "s") == contents(shop)
    assert not list((tmp_path / "cache").rglob("*.duckdb"))


def test_a_truncated_file_leaves_the_store_as_it_was(shop: Path, tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(f'{{"user_id":1,"title":"t{n}","time":{10**9 + n}}}' for n in range(5000)).encode())
    (tmp_path / "t.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "t.parquet").write_bytes(os.urandom(1000))
    before = contents(shop)
    for name, words in (("t.jsonl.gz", "truncated"), ("t.parquet", "not a whole Parquet")):
        with pytest.raises(DataError, match=words):
            read(tmp_path / name, shop)
        with pytest.raises(DataError, match=words):
            read(tmp_path / name, tmp_path / "new")
    assert contents(shop) == before
    assert not (tmp_path / "new").exists()


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS, st.one_of(st.integers(10**9, 2**32).map(str), CELLS)), max_size=12))
def test_every_row_is_an_event_a_repeat_or_a_reject(rows: list[tuple[str, str, str]]) -> None:
    with TemporaryDirectory() as folder:
        log, store = Path(folder) / "a.jsonl", Path(folder) / "s"
        lines = [json.dumps(dict(zip(("user_id", "title", "time"), row, strict=True))) for row in rows]
        log.write_text("\n".join([*lines, '{"user_id": "known", "title": "Sound", "time": "2001-01-01"}', *lines]))
        done = read(log, store)
        valid, rejected = done.events - 1, done.rejected
        assert done.rows == 2 * len(rows) + 1
        assert rejected % 2 == 0
        assert valid <= len(rows) - rejected // 2
        kept = contents(store)
        times = [[json.loads(event)["time"] for event in history] for history in kept.values()]
        assert sum(map(len, times)) == done.events
        with open_store(store) as opened:
            for user_id in kept:
                moments = [event.time for event in opened.history(user_id)]
                assert moments == sorted(moments)


def test_a_later_row_adds_facts_to_an_item_and_changes_none(tmp_path: Path) -> None:
    log = tmp_path / "a.csv"
    head = "user_id,item_id,title,time,topics,text\n"
    log.write_text(head + "u,1,Alpha,2020-01-01,Wine|Red,\nv,1,Alpha,2020-01-02,,long\nv,1,RENAMED,2020-03-01,Sport,\n")
    read(log, tmp_path / "s")
    later = tmp_path / "b.csv"
    later.write_text(head + "w,1,AGAIN,2020-04-01,Sport,x\n")
    read(later, tmp_path / "s")
    with open_store(tmp_path / "s") as store:
        item = store.items(["1"])["1"]
    assert (item.title, item.topics, item.text) == ("Alpha", ("Wine", "Red"), "long")
    # A source that was corrected can be read again, as long as no later one continued it.
    read(log, tmp_path / "t")
    log.write_text(log.read_text().replace("Alpha", "Alfa"))
    read(log, tmp_path / "t")
    with open_store(tmp_path / "t") as store:
        assert store.items(["1"])["1"].title == "Alfa"


def test_ids_are_kept_to_the_letter(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    rows = [
        {"user_id": "a  b", "item_id": id_, "title": f"T{n}", "time": 10**9 + n}
        for n, id_ in enumerate(["x y", "x  y", "X y"])
    ]
    rows += [{"user_id": "a", "item_id": bad, "title": "T", "time": 10**9} for bad in ("x\ny", "x\x1fy", "")]
    log.write_text("\n".join(map(json.dumps, rows)))
    done = read(log, tmp_path / "s")
    assert (done.items, done.rejected) == (4, 2)
    with open_store(tmp_path / "s") as store:
        assert {event.item_id for event in store.history("a  b")} == {"x y", "x  y", "X y"}


@pytest.mark.parametrize(
    "bad",
    [
        {"time": 10**400},
        {"time": float("nan")},
        {"title": {"a": 1}},
        {"user_id": None},
    ],
)
def test_a_row_of_nonsense_is_rejected_alone(bad: dict[str, object], tmp_path: Path) -> None:
    good = {"user_id": "u", "title": 1984, "time": "20200101", "context": {"place": "work"}}
    log = tmp_path / "a.jsonl"
    log.write_text("\n".join(json.dumps(row) for row in (good | bad, good)))
    done = read(log, tmp_path / "s")
    assert (done.events, done.rejected) == (1, 1)
    assert done.rejects is not None
    json.loads(done.rejects.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    with open_store(tmp_path / "s") as store:
        (event,) = store.history("u")
    assert (event.title, event.time, event.context) == ("1984", 1577836800, {"place": "work"})


@pytest.mark.parametrize(
    "odd", [{"price": -1}, {"price": "ask us"}, {"rating": "?"}, {"image": "x" * 3000}, {"field.size": {"a": [1]}}]
)
def test_an_optional_value_of_nonsense_never_costs_the_event(odd: dict[str, object], tmp_path: Path) -> None:
    good = {"user_id": "u", "title": "Tea", "time": "20200101"}
    log = tmp_path / "a.jsonl"
    log.write_text("\n".join(json.dumps(row) for row in (good | odd, good | {"time": "20200102"})))
    done = read(log, tmp_path / "s")
    assert (done.events, done.rejected) == (2, 0)
