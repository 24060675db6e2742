"""Tables: the same rows in any format, columns mapped to fields, broken quotation marks."""

import gzip
import json
from pathlib import Path

import pytest

from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.sources.encodings import checked_encoding
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import Ingested, ingest
from whimbrel.tools.sources.table_options import parse_map
from whimbrel.tools.store.store import open_store


def read(path: Path, store: Path, **options: object) -> Ingested:
    return ingest(open_source(str(path), **options), store)  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, list[str]]:
    with open_store(folder) as store:
        return {u: [e.model_dump_json() for e in store.history(u)] for u in sorted(store.log.user_ids)}


def test_the_same_rows_in_any_format_make_the_same_histories(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"who": f"u{n % 3}", "what": f"Thing {n}", "when": 1_600_000_000 + n, "kind": "x|y"} for n in range(30)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with gzip.open(tmp_path / "b.csv.gz", "wt") as file:
        file.write("who;what;when;kind\n" + "\n".join(";".join(map(str, row.values())) for row in reversed(rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    mapped = parse_map(["who=user_id", "what=title", "when=time", "kind=topics"])
    stores = []
    for name in ("a.jsonl", "b.csv.gz", "c.parquet"):
        read(tmp_path / name, tmp_path / f"s-{name}", mapped=mapped)
        stores.append(contents(tmp_path / f"s-{name}"))
    assert stores[0] == stores[1] == stores[2]
    assert json.loads(stores[0]["u0"][0])["topics"] == ["x", "y"]


@pytest.mark.parametrize(
    ("pairs", "error", "words"),
    [
        (["nothing=title"], DataError, "no column 'nothing'; columns are: user_id, name, time"),
        (["name=text"], DataError, "no column for title"),
        (["name=heading"], ConfigError, "no field"),
        (["name"], ConfigError, "COLUMN=FIELD"),
    ],
)
def test_a_wrong_map_says_which_columns_there_are(
    pairs: list[str], error: type[Exception], words: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("user_id,name,time\n1,A,2020-01-01\n")
    with pytest.raises(error, match=words):
        read(tmp_path / "a.csv", tmp_path / "s", mapped=parse_map(pairs))


def test_a_quotation_mark_that_is_never_closed_costs_no_other_line(tmp_path: Path) -> None:
    log = tmp_path / "a.csv"
    rows = [f"u,Thing {n},{10**9 + n},fine" for n in range(150)]
    rows[3] = 'u,Thing 3,1000000003,"starts a quote'
    rows[9] = 'u,"Thing\nin two lines",1000000009,fine'
    rows[12] = 'u,Pipe of 5" or so,1000000012,fine'
    log.write_text("user_id,title,time,text\n" + "\n".join(rows) + "\n")
    done = read(log, tmp_path / "s")
    assert (done.events, done.rejected) == (150, 0)
    with open_store(tmp_path / "s") as store:
        titles = {event.title for event in store.history("u")}
    assert {"Thing 3", "Thing in two lines", 'Pipe of 5" or so', "Thing 149"} <= titles


def test_columns_of_the_context_and_a_nested_one_are_united(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    row = {"user_id": "u", "title": "T", "time": 5, "city": "Ulm", "context": {"place": "work", "mood": ""}}
    log.write_text(json.dumps(row))
    read(log, tmp_path / "s", mapped=[("city", "context.city")])
    with open_store(tmp_path / "s") as store:
        (event,) = store.history("u")
    assert event.context == {"place": "work", "city": "Ulm"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"user_id,title,time,time\n", "two columns 'time'"),
        (b"\x1f\x8b\x00,title\n", "is no text"),
        (b"", "the file is empty"),
    ],
)
def test_a_first_line_that_names_no_columns_is_an_error(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.csv", tmp_path / "s")


def test_a_line_of_no_encoding_is_rejected_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfuser_id,title,time\nu,\x81\x8d,5\nu,T,5\n")
    done = read(tmp_path / "a.csv", tmp_path / "s")
    assert (done.events, [kind.reason for kind in done.rejections]) == (1, ["not UTF-8"])


def test_the_line_ends_of_an_old_mac_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"user_id,title,time\ru,T,5\rv,T,6\r")
    assert read(tmp_path / "a.csv", tmp_path / "s").events == 2


def test_a_mapped_column_that_no_line_has_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"user_id": "u", "title": "T", "time": 5}))
    with pytest.raises(DataError, match=r"no line of 'a\.jsonl' has 'city'"):
        read(tmp_path / "a.jsonl", tmp_path / "s", mapped=[("city", "context.city")])


@pytest.mark.parametrize("name", ["utf-9", "a\0b", "\ud800", "base64", ""])
def test_an_encoding_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--encoding: no encoding"):
        checked_encoding(name)
